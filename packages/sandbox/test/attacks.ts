import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";

/**
 * Programs that define `add` wrongly and try to be judged right, or to harm. Each answers 3, which is right for
 * `add(1, 2)`, only when it got through.
 *
 * @param port of a server on this machine that nothing may reach
 */
export function readAttacks(port: number): { name: string; program: string }[] {
  const folder = join(import.meta.dirname, "attacks");
  return readdirSync(folder).map((file) => ({
    name: file.replace(".py", "").replaceAll("-", " "),
    program: readFileSync(join(folder, file), "utf8").replace("PORT", String(port)),
  }));
}

/** Not right for any wrong `add` that guesses. */
export const ADD_CHECKS = ["assert add(1, 2) == 3", "assert add(2, 2) == 4"];

/** All processes that a process has started, directly or not. */
export function descendantsOf(ancestor: number): number[] {
  const pairs = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        return [[Number(pid), Number(readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]!.split(" ")[1])] as const];
      } catch {
        return []; // ended since it was listed
      }
    });
  const below = (parent: number): number[] => pairs.filter(([, of]) => of === parent).flatMap(([pid]) => [pid, ...below(pid)]);
  return below(ancestor);
}
