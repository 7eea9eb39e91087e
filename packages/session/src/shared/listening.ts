// What a listener needs for shared sessions: loaded by the first one that has some, since most servers have none.

export { loadSharedKind } from './load-kind.js';
export { localKind } from './local.js';
export { sharedLimits } from './options.js';
export { hasSharedPort, SharedTarget } from './shared-target.js';
