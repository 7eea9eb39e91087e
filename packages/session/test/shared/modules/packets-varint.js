// Frames of another framer.

import { lengthPrefixed } from '@overlapped/session';
import { packetsOf } from './packets.js';

export default packetsOf(lengthPrefixed({ size: 'varint' }));
