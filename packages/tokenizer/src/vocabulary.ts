import { bytesOfName, CHARACTER_OF_ID } from "./byte-alphabet.ts";
import { TokenizerError } from "./errors.ts";

/** A token that stands outside the merges and is found in a text literally. */
export interface AddedToken {
  readonly content: string;
  readonly id: number;
  /** Markup rather than text, such as the end of a turn; Qwen's `<tool_call>` is added, but not special. */
  readonly special: boolean;
}

/** Room for 55 of Qwen's vocabularies: one absurd id would make a list of billions. Merges are as many, at most. */
export const MOST_IDS = 2 ** 23;

/** What decides ids: everything that Hugging Face's files say about byte-level BPE. */
export interface Vocabulary {
  /** Names of the model's own tokens, in GPT-2's alphabet, by id; an id without one belongs to an added token or to none. */
  readonly names: readonly (string | undefined)[];
  /** Pairs of names, the first learned first. */
  readonly merges: readonly (readonly [string, string])[];
  /** In the order of their ids. */
  readonly added: readonly AddedToken[];
}

/** The vocabulary that training gives: bytes, merges, special tokens, in this order. */
export function learnedVocabulary(merges: readonly (readonly [number, number])[], specialTokens: readonly string[]): Vocabulary {
  const names = [...CHARACTER_OF_ID];
  const named = merges.map(([left, right]): [string, string] => {
    const pair: [string, string] = [names[left]!, names[right]!];
    names.push(pair.join(""));
    return pair;
  });
  return { names, merges: named, added: specialTokens.map((content, i) => ({ content, id: names.length + i, special: true })) };
}

/** One more than the highest id. */
export function vocabularySize({ names, added }: Vocabulary): number {
  return added.reduce((size, { id }) => Math.max(size, id + 1), names.length);
}

/** The same with those of the special tokens that it lacks, at the ids that follow its last one. */
export function withSpecialTokens(vocabulary: Vocabulary, specialTokens: readonly string[]): Vocabulary {
  const known = new Set(vocabulary.added.map(({ content }) => content));
  const first = vocabularySize(vocabulary);
  const missing = specialTokens.filter((token) => !known.has(token)).map((content, i) => ({ content, id: first + i, special: true }));
  return { ...vocabulary, added: [...vocabulary.added, ...missing] };
}

/** Bytes that each id stands for. */
export function bytesOfIds({ names, added }: Vocabulary): (Uint8Array | undefined)[] {
  const bytes = names.map((name) => (name === undefined ? undefined : bytesOfName(name)));
  // Some vocabularies name them, too; all other names are of bytes and merges, and thus in the alphabet.
  for (const { content, id } of added) bytes[id] = Buffer.from(content);
  return bytes;
}

/**
 * Builds a vocabulary from what its files say.
 *
 * @param file named by errors
 * @throws TokenizerError `TokenizerCorrupt` naming the token
 */
export function vocabularyFrom(file: string, idOfName: ReadonlyMap<string, number>, merges: Vocabulary["merges"], added: readonly AddedToken[]): Vocabulary {
  const corrupt = (problem: string) => new TokenizerError("TokenizerCorrupt", `${file}: ${problem}`);
  const names: (string | undefined)[] = [];
  for (const [name, id] of idOfName) {
    if (names[id] !== undefined) throw corrupt(`expected one token of id ${id}, found ${names[id]} and ${name}`);
    names[id] = name;
  }
  const idOf = (what: string, name: string): number => {
    const id = idOfName.get(name);
    if (id === undefined) throw corrupt(`expected ${what} ${name} in the vocabulary, found none`);
    return id;
  };
  const made = new Set(CHARACTER_OF_ID.map((character) => idOf("byte", character)));
  const pairs = new Set<number>();
  for (const [left, right] of merges) {
    const pair = idOf("merge part", left) * MOST_IDS + idOf("merge part", right);
    if (pairs.size === pairs.add(pair).size) throw corrupt(`expected merge ${left} ${right} once, found it again`);
    made.add(idOf("merge", left + right));
  }
  const [contentOf, placeOf] = [new Map<number, string>(), new Map<string, number>()];
  for (const { content, id } of added) {
    const holder = names[id] ?? contentOf.get(id) ?? content;
    if (holder !== content) throw corrupt(`expected id ${id} for added token ${content}, found it taken by ${holder}`);
    const place = idOfName.get(content) ?? placeOf.get(content) ?? id;
    if (place !== id) throw corrupt(`expected one id for added token ${content}, found ${place} and ${id}`);
    contentOf.set(id, content);
    placeOf.set(content, id);
  }
  for (const [name, id] of idOfName) if (!made.has(id) && !contentOf.has(id)) throw corrupt(`expected a merge that makes ${name}, found none`);
  return { names: Array.from(names), merges, added: [...added].sort((a, b) => a.id - b.id) };
}
