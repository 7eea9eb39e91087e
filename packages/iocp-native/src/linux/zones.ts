// Zones of link-local addresses: the names of network interfaces, of this process's network namespace. if_nametoindex(3)

import { NO_ZONE, numberOf, type Zones } from '../native/zones.js';
import { if_indextoname, if_nametoindex } from './libc.js';

/** Bytes of an interface's name with its end. */
const IF_NAMESIZE = 16;

export const linuxZones: Zones = {
  indexOf(zone) {
    // An interface may have a number for a name.
    const index = if_nametoindex(Buffer.from(`${zone}\0`));
    if (index > 0) return index;
    const number = numberOf(zone);
    return number < 0 ? NO_ZONE : number;
  },
  nameOf(index) {
    const name = Buffer.alloc(IF_NAMESIZE);
    // It may have gone meanwhile.
    if (if_indextoname(index, name) === 0) return String(index);
    return name.toString('utf8', 0, name.indexOf(0));
  },
};
