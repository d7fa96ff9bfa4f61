/** A programming task with the tests that decide it. */
export interface CodeTask {
  readonly id: string;
  readonly family: string;
  /** What the user asks for. */
  readonly instruction: string;
  /** Function the checks call. */
  readonly entryPoint: string;
  /** A program that passes every check. */
  readonly solution: string;
  /** Python statements, at least one, that raise when the program is wrong. Never shown to the model. */
  readonly checks: readonly string[];
}
