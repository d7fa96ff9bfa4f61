import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

export const TURNS = 7;
/** Each side's turn lasts about so long. */
const TURN_MS = 1500;

/** A process that does the measured work `times` times when told `run <times>`, and answers with a line of JSON. */
export interface Side<Answer> {
  readonly name: string;
  readonly run: (times: number) => Promise<Answer>;
  readonly end: () => void;
}

/** What a side says at the least: milliseconds of each time, and the most memory it held. */
export interface Timed {
  readonly ms: readonly number[];
  readonly peakBytes: number;
}

/** @param task the first line that the process reads, as JSON */
export async function openSide<Answer extends Timed>(name: string, command: string, args: readonly string[], options: { readonly task: unknown; readonly threads: number }): Promise<Side<Answer>> {
  const threads = String(options.threads);
  const child = spawn(command, args, { stdio: ["pipe", "pipe", "ignore"], env: { ...process.env, OMP_NUM_THREADS: threads, TF_NUM_INTRAOP_THREADS: threads } });
  const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const answer = async (): Promise<Answer> => {
    const { value, done } = await answers.next();
    if (done === true) throw new Error(`${name}: expected an answer, found that it ended; run \`${[command, ...args].join(" ")}\` to see why`);
    return JSON.parse(value as string) as Answer;
  };
  child.stdin.write(`${JSON.stringify(options.task)}\n`);
  await answer();
  const run = (times: number) => {
    child.stdin.write(`run ${times}\n`);
    return answer();
  };
  return { name, run, end: () => child.kill() };
}

export interface Result<Answer> {
  readonly name: string;
  /** Median over turns of the median within a turn. */
  readonly ms: number;
  readonly last: Answer;
}

/**
 * All sides wait while one works, so that none disturbs another and slow spells of the machine hit all alike.
 *
 * @param warmUps times that each side works before it is timed
 */
export async function takeTurns<Answer extends Timed>(sides: readonly Side<Answer>[], warmUps: number): Promise<Result<Answer>[]> {
  const states = [];
  for (const side of sides) {
    await side.run(warmUps);
    const { ms } = await side.run(1);
    states.push({ side, times: Math.max(1, Math.round(TURN_MS / median(ms))), turns: [] as number[], last: undefined as Answer | undefined });
  }
  for (let turn = 0; turn < TURNS; turn += 1) {
    for (const state of states) {
      state.last = await state.side.run(state.times);
      state.turns.push(median(state.last.ms));
    }
  }
  return states.map(({ side, turns, last }) => ({ name: side.name, ms: median(turns), last: last! }));
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
