// 20,000 programs through one sandbox, one in twenty hostile: every verdict right, memory and descriptors flat, nothing left.
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { createSandbox } from "@diffucoder/sandbox";
import { expect, it, vi } from "vitest";

const PROGRAMS = Number(process.env.DIFFUCODER_SOAK_PROGRAMS ?? 20_000);
const HOSTILE_EVERY = 20;
const WARM_UP = Math.min(1000, PROGRAMS / 4);

const ATTACKS = join(import.meta.dirname, "../../packages/sandbox/test/attacks");

/** All processes that a process has started, directly or not. */
function descendantsOf(ancestor: number): number[] {
  const children = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => statOf(pid)[1] === String(ancestor))
    .map(Number);
  return children.flatMap((pid) => [pid, ...descendantsOf(pid)]);
}

function statOf(pid: string): string[] {
  try {
    return readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]!.split(" ");
  } catch {
    return []; // ended since it was listed
  }
}

/** Processes of the sandbox at rest, their open descriptors, and the resident memory of the biggest in MB. */
function footprint() {
  const pids = descendantsOf(process.pid);
  const lines = pids.map((pid) => readFileSync(`/proc/${pid}/status`, "utf8"));
  const megabytes = lines.map((text) => Number(/VmRSS:\s+(\d+)/.exec(text)?.[1] ?? 0) / 1024);
  return {
    processes: pids.length,
    descriptors: pids.reduce((sum, pid) => sum + readdirSync(`/proc/${pid}/fd`).length, 0),
    ownDescriptors: readdirSync("/proc/self/fd").length,
    megabytes: Math.max(...megabytes),
    ownMegabytes: process.memoryUsage().rss / 2 ** 20,
  };
}

it(`${PROGRAMS} programs`, { timeout: 3_600_000 }, async () => {
  const sandbox = await createSandbox({ workers: 2, limits: { wallMs: 10_000 } });
  const attacks = readdirSync(ATTACKS).map((name) => ({ name, program: readFileSync(join(ATTACKS, name), "utf8").replace("PORT", "9") }));
  const wrong: string[] = [];
  const judge = async (i: number): Promise<void> => {
    const isHostile = i % HOSTILE_EVERY === 0;
    const attack = attacks[(i / HOSTILE_EVERY) % attacks.length]!;
    const isRight = i % 3 !== 0;
    const verdict = await sandbox.run({
      candidate: isHostile ? attack.program : `def add(a, b): return a + b + ${isRight ? 0 : i}`,
      checks: ["assert add(1, 2) == 3", "assert add(2, 2) == 4"],
      entryPoints: ["add"],
      ...(isHostile ? { limits: { wallMs: 300, cpuSeconds: 1 } } : {}),
    });
    const isExpected = isHostile ? verdict.passedChecks === 0 && verdict.status !== "passed" : verdict.status === (isRight ? "passed" : "failed");
    if (!isExpected) wrong.push(`${i} ${isHostile ? attack.name : "plain"}: ${verdict.status}, ${verdict.cause}`);
  };
  let next = 0;
  const runUntil = async (end: number): Promise<void> => {
    const lane = async () => {
      while (next < end) await judge(next++);
    };
    await Promise.all([lane(), lane(), lane()]);
    await vi.waitFor(() => expect(descendantsOf(process.pid)).toHaveLength(10), { timeout: 5000 });
  };

  await runUntil(WARM_UP);
  const before = footprint();
  const started = performance.now();
  await runUntil(PROGRAMS);
  const seconds = (performance.now() - started) / 1000;
  const after = footprint();
  console.log(`${((PROGRAMS - WARM_UP) / seconds).toFixed(1)} programs/s; before ${JSON.stringify(before)}, after ${JSON.stringify(after)}`);
  expect(wrong).toEqual([]);
  expect(after).toMatchObject({ processes: before.processes, descriptors: before.descriptors, ownDescriptors: before.ownDescriptors });
  expect(after.megabytes).toBeLessThan(before.megabytes + 8);
  expect(after.ownMegabytes).toBeLessThan(before.ownMegabytes + 100);
  await sandbox.close();
  expect(descendantsOf(process.pid)).toEqual([]);
});
