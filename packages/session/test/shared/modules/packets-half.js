// Shared sessions of frames that note the end of their peers.

import { fixedLength } from '@overlapped/session';
import { note } from './notes.js';
import { packetsOf } from './packets.js';

export default class extends packetsOf(fixedLength(4)) {
  onEnd() {
    note(-1);
  }
}
