// A shared session that uses its view wrongly, and tells its peer what that is answered with.

import { SharedSession } from '@overlapped/session';

const attempt = (act) => {
  try {
    act();
    return 'nothing';
  } catch (error) {
    return error.message;
  }
};

export default class Views extends SharedSession {
  onReceive(data) {
    const { core, id } = this;
    switch (String(data)) {
      case 'later':
        setImmediate(() =>
          core.send(
            id,
            attempt(() => this.send('late')),
          ),
        );
        break;
      case 'state':
        setImmediate(() =>
          core.send(
            id,
            attempt(() => this.id),
          ),
        );
        break;
      case 'field':
        this.send(attempt(() => Object.assign(this, { field: 1 })));
        break;
    }
  }
}
