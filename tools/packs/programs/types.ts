// Names every entry that has types, so that a compiler reads all declarations.

import * as port from '@overlapped/iocp-native';
import * as internal from '@overlapped/iocp-native/internal';
import * as linux from '@overlapped/iocp-native/linux';
import * as testing from '@overlapped/iocp-native/testing';
import * as win32 from '@overlapped/iocp-native/win32';
import * as jobs from '@overlapped/jobs';
import * as core from '@overlapped/net-core';
import * as coreInternal from '@overlapped/net-core/internal';
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

export { core, coreInternal, internal, jobs, linux, pool, port, session, testing, win32 };
