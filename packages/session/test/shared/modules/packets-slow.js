// Frames whose handlers are async.

import { lengthPrefixed } from '@overlapped/session';
import { packetsOf } from './packets.js';

export default packetsOf(lengthPrefixed({ size: 2 }), true);
