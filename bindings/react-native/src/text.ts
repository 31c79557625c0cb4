/** Places in texts: bytes of UTF-8 in the engine, UTF-16 units in JavaScript. */

const unitsAt = (text: string, index: number) => ((text.codePointAt(index) ?? 0) > 0xffff ? 2 : 1);

function bytesAt(text: string, index: number): number {
  const point = text.codePointAt(index) ?? 0;
  return point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
}

/** A text, and the place in it that was converted last: spans come in order, so that each starts near it. */
export class Utf16Text {
  private byte = 0;
  private index = 0;

  constructor(public text = '') {}

  /** The index of the character that starts at a byte; the length for one beyond the text. */
  indexOf(byte: number): number {
    if (byte < this.byte) this.byte = this.index = 0;
    while (this.index < this.text.length && this.byte < byte) {
      this.byte += bytesAt(this.text, this.index);
      this.index += unitsAt(this.text, this.index);
    }
    return this.index;
  }

  /** A span in bytes as one in units. */
  span([start, end]: readonly [number, number]): [number, number] {
    return [this.indexOf(start), this.indexOf(end)];
  }

  /** The byte at which the character of an index starts. */
  byteOf(index: number): number {
    let byte = 0;
    for (let at = 0; at < this.text.length && at + unitsAt(this.text, at) <= index; at += unitsAt(this.text, at)) {
      byte += bytesAt(this.text, at);
    }
    return byte;
  }
}
