import { statfs } from "node:fs/promises";
import { cacheFolder } from "./cache.js";

/** A step that cannot be done: what is missing, and the one command that helps. */
export class SetupError extends Error {
  constructor(message, next) {
    super(message);
    this.next = next;
  }
}

/**
 * A step of the set-up.
 *
 * @typedef {object} Step
 * @property {string} name
 * @property {number} megabytes disk that it needs while it works
 * @property {string[]} after names of steps that must be done before
 * @property {() => Promise<string | undefined>} check what is there, in words; undefined when the step has work to do
 * @property {() => Promise<string>} run does the work and says what is there now
 */

/** Does what has to be done, side by side where nothing stands between. */
export async function runSteps(steps) {
  const started = performance.now();
  const found = await Promise.all(steps.map((step) => step.check()));
  const pending = steps.filter((_, i) => found[i] === undefined);
  if (pending.length === 0) {
    console.log(`set-up: all there (${Math.round(performance.now() - started)} ms)`);
    return;
  }
  await announce(pending);
  /** By name of a step, whether it had work to do. */
  const done = new Map();
  for (const step of steps) {
    const before = step.after.map((name) => done.get(name));
    // What was there may be gone once another step has worked: npm ci empties the folder that the addon lies in.
    done.set(step.name, Promise.all(before).then((worked) => (pending.includes(step) || worked.includes(true)) && perform(step)));
  }
  const results = await Promise.allSettled(done.values());
  const failure = results.find(({ status }) => status === "rejected");
  if (failure) throw failure.reason;
  console.log(`set-up: done in ${seconds(started)}`);
}

async function announce(pending) {
  const needed = pending.reduce((sum, { megabytes }) => sum + megabytes, 0);
  const { bavail, bsize } = await statfs(cacheFolder());
  const free = (bavail * bsize) / 1e6;
  console.log(`set-up: ${pending.map(({ name }) => name).join(", ")}; needs ${gigabytes(needed)} of disk, ${gigabytes(free)} free`);
  if (free < needed) throw new SetupError(`expected ${gigabytes(needed)} of free disk, found ${gigabytes(free)}`, `df -h ${cacheFolder()}`);
}

/** Does what a step has to do, by what is there now. */
async function perform(step) {
  if ((await step.check()) !== undefined) return false;
  const started = performance.now();
  console.log(`  ${step.name} ...`);
  console.log(`  ${step.name}: ${await step.run()} (${seconds(started)})`);
  return true;
}

const seconds = (started) => `${((performance.now() - started) / 1000).toFixed(1)} s`;
const gigabytes = (megabytes) => `${(megabytes / 1000).toFixed(1)} GB`;
