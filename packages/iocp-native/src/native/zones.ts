// Zones of link-local addresses (the `eth0` of fe80::1%eth0): in a sockaddr a zone is a number, its scope id.

/** How a system's zones and scope ids belong together. */
export interface Zones {
  /** The scope id; NO_ZONE for a zone that is not there. */
  indexOf(zone: string): number;
  /** The zone as people write it. */
  nameOf(index: number): string;
}

/**
 * A scope id that no interface has. A system refuses an address with it (ENODEV, ENETUNREACH ...), where it may pick any
 * interface for an address with scope id 0.
 */
export const NO_ZONE = 0x7fffffff;

/** A zone that is written as its scope id, or -1. */
export function numberOf(zone: string): number {
  return /^\d{1,10}$/.test(zone) && Number(zone) < NO_ZONE ? Number(zone) : -1;
}

/** Zones are numbers, as on Windows. */
export const numericZones: Zones = {
  indexOf(zone) {
    const index = numberOf(zone);
    return index < 0 ? NO_ZONE : index;
  },
  nameOf: String,
};
