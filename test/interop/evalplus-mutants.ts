/** Small errors of the kind that programs have; each changes its first place. */
const MUTATIONS: readonly (readonly [RegExp, string])[] = [
  [/ == /, " != "],
  [/ < /, " <= "],
  [/ \+ /, " - "],
  [/ and /, " or "],
  [/\b1\b/, "2"],
  [/ > /, " >= "],
  [/\brange\(/, "range(1, "],
  [/\b0\b/, "1"],
  [/ % /, " // "],
  [/ \* /, " + "],
  [/\bsorted\(/, "list("],
  [/\bmin\(/, "max("],
  [/\bif /, "if not "],
  [/ in /, " not in "],
  [/\breturn /, "return not "],
  [/\bset\(/, "list("],
];

/** The program with one mutation, the first that applies from the index-th on. */
export function mutate(program: string, index: number): string {
  for (let i = 0; i < MUTATIONS.length; i++) {
    const [place, replacement] = MUTATIONS[(index + i) % MUTATIONS.length]!;
    if (place.test(program)) return program.replace(place, replacement);
  }
  return program.replace(/return/, "return None and");
}
