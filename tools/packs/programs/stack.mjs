// Prints where an error of the packages comes from.

import { IocpCore } from '@overlapped/net-core';

try {
  new IocpCore({ threads: -1 });
} catch (error) {
  console.log(error.stack);
}
