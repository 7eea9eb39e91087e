// What a listener needs for shared sessions: loaded by the first one that has some, since most servers have none.

export { loadSharedKind } from '../shared/load-kind.js';
export { localKind } from '../shared/local.js';
export { sharedLimits } from '../shared/options.js';
export { hasSharedPort, SharedTarget } from '../shared/shared-target.js';
