// The other end of coding.py: differences become samples again.

export const SIZES = { u1: 1, u2: 2, i2: 2, f4: 4 } as const;

const PATIENCE_MS = 12; // the hand is not to notice that an image is made ready behind it

const turn = () => new Promise((resolve) => setTimeout(resolve, 0));

/** Samples of `size` bytes, from the differences of each to the one on its left, the lowest bytes of all first. */
export async function summed(buffer: ArrayBuffer, size: 1 | 2 | 4, columns: number, channels: number): Promise<ArrayBuffer> {
  const bytes = new Uint8Array(buffer);
  const count = bytes.length / size;
  const whole = new ArrayBuffer(bytes.length);
  const out = size === 1 ? new Uint8Array(whole) : size === 2 ? new Uint16Array(whole) : new Uint32Array(whole);
  const row = columns * channels;
  let since = performance.now();
  for (let start = 0; start < count; start += row) {
    for (let i = start; i < start + row; i++) {
      let value = bytes[i];
      for (let k = 1; k < size; k++) value |= bytes[k * count + i] << (8 * k);
      out[i] = i - start < channels ? value : value + out[i - channels]; // the array itself drops what is too high
    }
    if (performance.now() - since > PATIENCE_MS) {
      await turn();
      since = performance.now();
    }
  }
  return whole;
}
