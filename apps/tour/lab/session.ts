// The handlers of the lab. The threads of the shared port load this module; any of them serves any session.

import { getEnvironmentData, threadId } from 'node:worker_threads';
import { SharedPacketSession } from '@overlapped/session';
import { compute } from './compute.js';
import { LOG, Log } from './log.js';
import { decode, framer } from './request.js';

const log = new Log(getEnvironmentData(LOG) as SharedArrayBuffer);
const nothing = new Int32Array(new SharedArrayBuffer(4));
log.write('ready', threadId, 0);

export default class LabSession extends SharedPacketSession {
  static override framer = framer;

  override onPacket(frame: Buffer): void {
    const { number, blocking, amount } = decode(frame);
    log.write('started', threadId, number);
    if (blocking) {
      log.write('blocked', threadId, number);
      Atomics.wait(nothing, 0, 0, amount);
      log.write('resumed', threadId, number);
    } else {
      compute(amount);
    }
    log.write('done', threadId, number);
    this.send('.');
  }
}
