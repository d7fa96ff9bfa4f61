import { bytesOfName, CHARACTER_OF_ID } from "./byte-alphabet.ts";
import { TokenizerError } from "./errors.ts";

/** A token that stands outside the merges and is found in a text literally. */
export interface AddedToken {
  readonly content: string;
  readonly id: number;
  /** Markup rather than text, such as the end of a turn; Qwen's `<tool_call>` is added, but not special. */
  readonly special: boolean;
}

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
  const requireName = (what: string, name: string) => {
    if (!idOfName.has(name)) throw corrupt(`expected ${what} ${name} in the vocabulary, found none`);
  };
  for (const character of CHARACTER_OF_ID) requireName("byte", character);
  const known = new Set<string>();
  for (const [left, right] of merges) {
    if (known.size === known.add(`${left} ${right}`).size) throw corrupt(`expected merge ${left} ${right} once, found it again`);
    requireName("merge part", left);
    requireName("merge part", right);
    requireName("merge", left + right);
  }
  const made = new Set([...CHARACTER_OF_ID, ...merges.map(([left, right]) => left + right), ...added.map(({ content }) => content)]);
  for (const name of idOfName.keys()) if (!made.has(name)) throw corrupt(`expected a merge that makes ${name}, found none`);
  const [contentOf, idOf] = [new Map<number, string>(), new Map(idOfName)];
  for (const { content, id } of added) {
    const [holder, place] = [names[id] ?? contentOf.get(id) ?? content, idOf.get(content) ?? id];
    if (holder !== content) throw corrupt(`expected id ${id} for added token ${content}, found it taken by ${holder}`);
    if (place !== id) throw corrupt(`expected one id for added token ${content}, found ${place} and ${id}`);
    contentOf.set(id, content);
    idOf.set(content, id);
  }
  return { names: Array.from(names), merges, added: [...added].sort((a, b) => a.id - b.id) };
}
