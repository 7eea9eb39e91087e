// The tests once more, in debug mode: memory is poisoned and guarded (see docs/SAFETY.md).

import { mergeConfig } from 'vitest/config';
import config from './vitest.config.js';

export default mergeConfig(config, { test: { env: { OVERLAPPED_DEBUG: '1' } } });
