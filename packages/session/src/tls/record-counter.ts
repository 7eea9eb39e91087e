// RecordCounter: where the records of a TLS stream begin. It finds the packets that are one whole record, which need fewer calls.

const HEADER = 5;
const APPLICATION_DATA = 23;

export class RecordCounter {
  /** Bytes of the current record that have not come. */
  #left = 0;
  /** Bytes of a header whose rest has not come, and its fourth byte. */
  #header = 0;
  #high = 0;

  /** Counts a packet. True if it is one whole record with application data. */
  isOne(data: Uint8Array): boolean {
    const { length } = data;
    if (this.#left === 0 && this.#header === 0 && length > HEADER) {
      const size = HEADER + data[3]! * 256 + data[4]!;
      if (size === length) return data[0] === APPLICATION_DATA;
    }
    this.#count(data, length);
    return false;
  }

  #count(data: Uint8Array, length: number): void {
    let at = this.#left;
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
    }
    this.#left = at - length;
  }
}
