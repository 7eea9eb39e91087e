// A session module whose sessions are made of an object of handlers and a framer.

import { framed, lines } from '@overlapped/session';

export default framed(lines(), {
  onPacket: (session, line) => session.sendPacket(line.toString().toUpperCase()),
});
