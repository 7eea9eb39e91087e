// Frames of another framer.

import { fixedLength } from '@overlapped/session';
import { packetsOf } from './packets.js';

export default packetsOf(fixedLength(7));
