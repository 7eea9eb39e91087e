// Frames of another framer.

import { delimited } from '@overlapped/session';
import { packetsOf } from './packets.js';

export default packetsOf(delimited('<>'));
