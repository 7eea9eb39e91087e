// Frames of another framer.

import { lines } from '@overlapped/session';
import { packetsOf } from './packets.js';

export default packetsOf(lines({ maxFrameLength: 1000 }));
