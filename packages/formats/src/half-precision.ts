/// <reference lib="es2025.float16" />

/** Number types of the weights that are read and written, by their names in safetensors, with their widths in bytes. */
export const DTYPE_BYTES = { F32: 4, BF16: 2, F16: 2 } as const;

export type Dtype = keyof typeof DTYPE_BYTES;

/** Little-endian numbers as float32, which holds each value of the narrower types exactly. */
export function widen(bytes: Uint8Array<ArrayBuffer>, dtype: Dtype): Float32Array<ArrayBuffer> {
  const length = bytes.byteLength / DTYPE_BYTES[dtype];
  if (dtype === "F32") return new Float32Array(bytes.buffer, bytes.byteOffset, length);
  if (dtype === "F16") return new Float32Array(new Float16Array(bytes.buffer, bytes.byteOffset, length));
  const halves = new Uint16Array(bytes.buffer, bytes.byteOffset, length);
  const words = new Uint32Array(length);
  for (let i = 0; i < length; i++) words[i] = halves[i]! << 16;
  return new Float32Array(words.buffer);
}

/** Float32 numbers in another type, rounded to the nearest value and to the even one of two; NaN stays NaN. */
export function narrow(data: Float32Array, dtype: Dtype): Uint8Array {
  if (dtype === "F32") return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  if (dtype === "F16") return new Uint8Array(new Float16Array(data).buffer);
  const words = new Uint32Array(data.buffer, data.byteOffset, data.length);
  const halves = new Uint16Array(data.length);
  for (let i = 0; i < data.length; i++) {
    const word = words[i]!;
    const isNan = (word & 0x7fffffff) > 0x7f800000;
    // A carry out of the fraction moves on to the next exponent, as it should.
    halves[i] = isNan ? (word >>> 16) | 0x40 : (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
  }
  return new Uint8Array(halves.buffer);
}
