// RecordCounter: where the records of a TLS stream begin and end. It tells how many calls a packet needs until OpenSSL has taken it.
//
// All bytes of the peer are counted, from the first on. A wrong count would leave bytes of one connection in the BIO that all
// connections share, so a stream that does not begin with a TLS record (OpenSSL also takes a ClientHello of SSL 2) is not counted.

const HEADER = 5;
const HANDSHAKE = 22;

export class RecordCounter {
  /** Records whose last byte came in the last packet; infinite in a stream that is not counted. */
  whole = 0;
  /** Bytes of the current record that have not come; -1 before the first packet, infinite in a stream that is not counted. */
  #left = -1;
  /** Bytes of a header whose rest has not come, and its fourth byte. */
  #header = 0;
  #high = 0;

  /** Whether the last packet ended with a record. */
  get between(): boolean {
    return this.#left === 0 && this.#header === 0;
  }

  count(data: Uint8Array): void {
    const { length } = data;
    if (this.#left < 0 && length > 0) this.#left = data[0] === HANDSHAKE ? 0 : Number.POSITIVE_INFINITY;
    this.whole = this.#left === Number.POSITIVE_INFINITY ? Number.POSITIVE_INFINITY : 0;
    let at = this.#left;
    if (at > 0 && at <= length) this.whole++;
    while (at < length) {
      const missing = HEADER - this.#header;
      if (at + missing > length) {
        const highAt = at + 3 - this.#header;
        if (this.#header <= 3 && highAt < length) this.#high = data[highAt]!;
        this.#header += length - at;
        this.#left = 0;
        return;
      }
      const high = this.#header <= 3 ? data[at + 3 - this.#header]! : this.#high;
      at += missing + high * 256 + data[at + missing - 1]!;
      this.#header = 0;
      if (at <= length) this.whole++;
    }
    this.#left = at - length;
  }
}
