// Near-deduplication at scale: memory stays bounded, and a process killed at any moment goes on where it was.
import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";

const HOURS = 3_600_000;
const GIB = 2 ** 30;

let folder: string;
beforeAll(() => void (folder = mkdtempSync(join(tmpdir(), "dedup-soak-"))));
afterAll(() => rmSync(folder, { recursive: true }));

interface Outcome {
  readonly summary: { readonly documents: number; readonly removed: number; readonly digest: string };
  readonly units: { readonly done: number; readonly reused: number };
  readonly peakBytes: number;
}

const RUN = join(import.meta.dirname, "..", "..", "tools", "bench", "dedup", "synthetic-run.ts");

/** Near-deduplicates synthetic documents of 120 words, every third a near copy of the one before it; undefined when it was killed. */
function start(name: string, count: number, workers: number): { child: ChildProcess; outcome: Promise<Outcome | undefined> } {
  const child = spawn(process.execPath, ["--conditions=@diffucoder/source", RUN, join(folder, name), String(count), String(workers)], { stdio: ["ignore", "pipe", "inherit"] });
  let output = "";
  child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
  const outcome = new Promise<Outcome | undefined>((resolve, reject) => {
    child.on("close", (code, signal) => {
      if (signal === "SIGKILL") resolve(undefined);
      else if (code === 0) resolve(JSON.parse(output) as Outcome);
      else reject(new Error(`expected exit code 0, found ${code}`));
    });
  });
  return { child, outcome };
}

test(
  "two million documents take less than 1 GiB, and near copies are found as often as banding promises",
  async () => {
    const count = 2_000_000;
    const { summary, peakBytes } = (await start("large", count, 2).outcome)!;
    rmSync(join(folder, "large"), { recursive: true });
    expect(summary.documents).toBe(count);
    // 106 of 126 runs are shared: 1 - (1 - 0.841^8)^16 = 0.990; documents that are no copies are like none.
    const found = summary.removed / Math.floor(count / 3);
    expect(found).toBeGreaterThan(0.988);
    expect(found).toBeLessThan(0.992);
    expect(peakBytes).toBeLessThan(GIB);
  },
  HOURS,
);

test(
  "killed again and again, it ends with the digest of an undisturbed run, and no unit is done twice",
  async () => {
    const count = 150_000;
    const whole = (await start("whole", count, 1).outcome)!;
    let survivor: Outcome | undefined;
    let kills = 0;
    for (let delay = 800; survivor === undefined; delay += 300) {
      const { child, outcome } = start("killed", count, 2);
      const killer = setTimeout(() => child.kill("SIGKILL"), delay);
      survivor = await outcome;
      clearTimeout(killer);
      if (survivor === undefined) kills++;
    }
    expect(kills).toBeGreaterThan(2);
    expect(survivor.summary).toEqual(whole.summary);
    expect(survivor.units.reused).toBeGreaterThan(0);
    expect(survivor.units.reused + survivor.units.done).toBe(whole.units.done);
    expect(readdirSync(join(folder, "killed")).filter((name) => !name.endsWith(".tmp")).toSorted()).toEqual(readdirSync(join(folder, "whole")).toSorted());
  },
  HOURS,
);
