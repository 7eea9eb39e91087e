// A shared session whose thread can end at any point: at each call of Atomics, and before and after each call of the kernel. The
// methods that are replaced here are the product's own; the product knows nothing of it. See losses.test.ts.

import { setImmediate as turn } from 'node:timers/promises';
import { getEnvironmentData } from 'node:worker_threads';
import { EpollPort, IocpPort, LinuxSharedSockets, Win32SharedSockets } from '@overlapped/iocp-native/internal';
import { SharedSession } from '@overlapped/session';

const notes = new Int32Array(getEnvironmentData('overlapped:shared-mortal'));
/** The number of the point to end at, for the thread that comes to a place first; the place. See losses.ts. */
const POINT = 0;
const PLACE = 1;
/** Threads that ended at their point, and that came to the end of what they were to do before. */
const DIED = 2;
const SURVIVED = 3;
/** Sessions that were told that their thread has ended, and that ended in another way. */
const LOST = 4;
const OVER = 5;
/** Threads that have loaded this module. */
const LOADED = 6;
const Places = { accept: 1, wait: 2, sendBlock: 3, close: 4 };

const windows = process.platform === 'win32';
const Port = windows ? IocpPort : EpollPort;
const Sockets = windows ? Win32SharedSockets : LinuxSharedSockets;

const asleep = new Int32Array(new SharedArrayBuffer(4));

const { add, compareExchange, exchange, load } = Atomics;
add(notes, LOADED, 1);
/** Points until this thread ends; 0: never. */
let left = 0;

function arm() {
  left = exchange(notes, POINT, 0);
}

function disarm() {
  if (left === 0) return;
  left = 0;
  add(notes, SURVIVED, 1);
}

function point() {
  if (left === 0 || --left > 0) return;
  add(notes, DIED, 1);
  process.exit(3);
  for (;;);
}

for (const name of ['add', 'and', 'compareExchange', 'exchange', 'load', 'notify', 'or', 'store', 'sub', 'wait']) {
  const original = Atomics[name];
  Atomics[name] = (...args) => {
    point();
    return original(...args);
  };
}

function replace({ prototype }, name, before, after) {
  const original = prototype[name];
  prototype[name] = function (...args) {
    before?.();
    point();
    const result = original.apply(this, args);
    point();
    after?.();
    return result;
  };
}

/** Whoever comes here first is to end, if that was asked for. */
const armAt = (place) => () => {
  if (load(notes, PLACE) === place && compareExchange(notes, PLACE, place, 0) === place) arm();
};
for (const name of ['receive', 'send', 'end', 'mark']) replace(Sockets, name);
for (const name of ['arm', 'armListener', 'add', 'post', 'done', 'idle']) replace(Port, name);
replace(Port, 'accept', armAt(Places.accept));
replace(Sockets, 'sendBlock', armAt(Places.sendBlock));
replace(Sockets, 'close', armAt(Places.close));
// What a turn does is over when its thread asks for the next packet, and a wait when that is there.
const armInWait = armAt(Places.wait);
const comeToWait = () => {
  disarm();
  armInWait();
};
replace(Port, 'wait', comeToWait, disarm);

export default class Mortal extends SharedSession {
  onReceive(data) {
    const [command, argument] = String(data).split(' ');
    switch (command) {
      case 'ask':
        this.send('answer');
        return undefined;
      case 'block':
        Atomics.wait(asleep, 0, 0, 20);
        this.send('answer');
        return undefined;
      case 'id':
        this.send(String(this.id));
        return undefined;
      case 'fill':
        while (this.bytesQueued === 0) this.send(Buffer.alloc(65_536));
        return undefined;
      case 'nothing':
        arm();
        return undefined;
      case 'send':
        arm();
        this.send('sent');
        return undefined;
      case 'queue':
        while (this.bytesQueued === 0) this.send(Buffer.alloc(65_536));
        arm();
        this.send(Buffer.alloc(9000));
        return undefined;
      case 'tell':
        arm();
        this.core.tell(Number(argument), 'told');
        this.core.send(Number(argument), 'sent');
        return undefined;
      case 'end':
        arm();
        this.end('bye');
        return undefined;
      case 'destroy':
        arm();
        this.destroy();
        return undefined;
      case 'close':
        this.destroy();
        return undefined;
      case 'later':
        return this.later();
      default:
        return undefined;
    }
  }

  async later() {
    await turn();
    arm();
    this.send('later');
    await turn();
    this.send('later still');
  }

  onMessage() {}

  onDisconnected(error) {
    add(notes, error?.code === 'ECHILD' ? LOST : OVER, 1);
  }
}
