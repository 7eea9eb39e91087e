// A shared session of frames that lacks its framer.

import { SharedPacketSession } from '@overlapped/session';

export default class NoFramer extends SharedPacketSession {}
