// Names every entry that has types, so that a compiler reads all declarations.

import * as port from '@overlapped/iocp-native';
import * as debug from '@overlapped/iocp-native/debug';
import * as linux from '@overlapped/iocp-native/linux';
import * as testing from '@overlapped/iocp-native/testing';
import * as threads from '@overlapped/iocp-native/threads';
import * as win32 from '@overlapped/iocp-native/win32';
import * as core from '@overlapped/net-core';
import * as pool from '@overlapped/object-pool';
import * as session from '@overlapped/session';

export class Typed extends session.PacketSession {
  constructor() {
    super(session.lines());
  }
  override onPacket(frame: Buffer): boolean {
    return this.send(frame);
  }
}

export { core, debug, linux, pool, port, session, testing, threads, win32 };
