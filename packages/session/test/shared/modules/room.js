// A shared session that joins groups and speaks to them, as its client says.

import { SharedSession, text } from '@overlapped/session';

export default class Room extends SharedSession {
  static state = { last: text(64) };

  onReceive(data) {
    const [command, group, ...words] = String(data).split(' ');
    switch (command) {
      case 'join':
        this.join(group);
        this.send('ok');
        break;
      case 'leave':
        this.leave(group);
        this.send('ok');
        break;
      case 'say':
        this.broadcast(words.join(' '), group);
        break;
      case 'big':
        this.broadcast(Buffer.alloc(Number(words[0]), words[1]), group);
        break;
      case 'last':
        this.state.last = words.join(' ');
        this.send('ok');
        break;
      case 'many':
        for (let i = 0; i < Number(words[0]); i++) this.broadcast(`${group}${String(i).padStart(5, '0')}`);
        break;
      case 'exit':
        process.exit(3);
        break;
      default:
        this.send('?');
    }
  }

  onDisconnected() {
    this.join('late');
    if (this.state.last !== '') this.broadcast(this.state.last);
  }
}
