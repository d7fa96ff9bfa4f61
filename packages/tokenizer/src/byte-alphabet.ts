/**
 * Byte-level BPE writes each byte as one printable character: printable Latin-1 stands for itself, the rest for
 * characters from U+0100 on. Vocabularies that are learned here give a byte its place in that order as its id.
 *
 * @source Radford et al., "Language Models are Unsupervised Multitask Learners" (GPT-2), encoder.py
 */
const printable = [...range(0x21, 0x7e), ...range(0xa1, 0xac), ...range(0xae, 0xff)];
const rest = range(0x00, 0xff).filter((byte) => !printable.includes(byte));

/** Byte of each base token id. */
export const BYTE_OF_ID: readonly number[] = [...printable, ...rest];

/** Base token id of each byte. */
export const ID_OF_BYTE: readonly number[] = BYTE_OF_ID.reduce<number[]>((ids, byte, id) => ((ids[byte] = id), ids), []);

/** Printable character of each base token id. */
export const CHARACTER_OF_ID: readonly string[] = BYTE_OF_ID.map((byte, id) =>
  String.fromCharCode(id < printable.length ? byte : 0x100 + id - printable.length),
);

const byteOfCharacter = new Map(CHARACTER_OF_ID.map((character, id) => [character, BYTE_OF_ID[id]!]));

/** What a name in this alphabet stands for. */
export function bytesOfName(name: string): Uint8Array {
  const bytes = new Uint8Array(name.length);
  for (let i = 0; i < name.length; i++) bytes[i] = byteOfCharacter.get(name[i]!)!;
  return bytes;
}

function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}
