// ClientAddresses: the addresses of clients behind proxies, from the PROXY headers, in memory that all threads see.
//
//   |0       |1    |3
//   | length | port | the address as text |

import { type Endpoint, endpoint } from '@overlapped/iocp-native';

/** Bytes of a record. The longest text of an IPv6 address has 45. */
const SIZE = 48;
const PORT = 1;
const TEXT = 3;

/** Memory for the clients of so many records. */
export function clientMemory(records: number): SharedArrayBuffer {
  return new SharedArrayBuffer(records * SIZE);
}

/** A session's thread uses its record, in the session's turn. */
export class ClientAddresses {
  readonly #bytes: Buffer;

  constructor(memory: SharedArrayBuffer) {
    this.#bytes = Buffer.from(memory);
  }

  /** @param client null if the proxy connects for itself */
  set(slot: number, client: Endpoint | null): void {
    const at = slot * SIZE;
    this.#bytes[at] = 0;
    if (client === null) return;
    this.#bytes.writeUInt16LE(client.port, at + PORT);
    this.#bytes[at] = this.#bytes.write(client.address, at + TEXT, SIZE - TEXT, 'latin1');
  }

  /** Null if the proxy connects for itself. */
  get(slot: number): Endpoint | null {
    const at = slot * SIZE;
    const length = this.#bytes[at]!;
    if (length === 0) return null;
    return endpoint(this.#bytes.toString('latin1', at + TEXT, at + TEXT + length), this.#bytes.readUInt16LE(at + PORT));
  }
}
