import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync } from "node:fs";
import { mkdir, readFile, readdir, rm, stat, utimes, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, onTestFinished, test } from "vitest";
import { canMount, smallDisk, temporaryFolder } from "../test/temporary.ts";
import { LeaseStore, type Lease } from "./lease.ts";

const KEY = "k".repeat(64);
const later = (ms: number) => () => Date.now() + ms;

function open(expiryMs?: number) {
  const root = join(temporaryFolder(), "leases");
  const leases = new LeaseStore(root, expiryMs);
  const acquire = async (now: () => number = Date.now): Promise<Lease | undefined> => {
    const lease = await leases.acquire(KEY, now);
    if (lease !== undefined) onTestFinished(() => lease.release());
    return lease;
  };
  return { leases, acquire, folder: join(root, KEY) };
}

/** A lease that some other process has left. */
async function leave(folder: string, owner: unknown, ageMs = 0): Promise<void> {
  await mkdir(folder, { recursive: true });
  const path = join(folder, "000001");
  await writeFile(path, typeof owner === "string" ? owner : JSON.stringify(owner));
  const time = new Date(Date.now() - ageMs);
  await utimes(path, time, time);
}

async function deadPid(): Promise<number> {
  const child = spawn("true");
  await once(child, "exit");
  return child.pid!;
}

describe("a lease", () => {
  test("is given to one at a time, with ascending numbers", async () => {
    const { acquire, folder } = open();
    const first = (await acquire())!;
    expect([first.key, first.number]).toEqual([KEY, 1]);
    expect(JSON.parse(await readFile(join(folder, "000001"), "utf8"))).toEqual({ pid: process.pid, host: hostname() });
    expect(await acquire()).toBeUndefined();
    await first.check();
    await first.release();
    const second = (await acquire())!;
    expect(second.number).toBe(2);
    await second.check();
  });

  test("of one key does not stand in the way of another", async () => {
    const { leases, acquire } = open();
    await acquire();
    const other = await leases.acquire("another", Date.now);
    expect(other!.number).toBe(1);
    await other!.release();
  });

  test("goes to exactly one of many that ask at once", async () => {
    const { acquire } = open();
    const leases = await Promise.all(Array.from({ length: 12 }, () => acquire()));
    expect(leases.filter((lease) => lease !== undefined)).toHaveLength(1);
  });

  test("that has expired is taken over, by one; the old one may not publish any more", async () => {
    const { acquire } = open(1000);
    const old = (await acquire())!;
    const taken = (await Promise.all(Array.from({ length: 6 }, () => acquire(later(2000))))).filter((lease) => lease !== undefined);
    expect(taken.map(({ number }) => number)).toEqual([2]);
    await expect(old.check()).rejects.toMatchObject({
      code: "LeaseLost",
      retryable: false,
      message: `stage key ${KEY.slice(0, 12)}: expected fencing number 1 to be current, found 2. A newer attempt has taken over.`,
      details: { key: KEY, held: 1, current: 2 },
    });
    await taken[0]!.check();
  });

  test("whose successor has finished is still lost", async () => {
    const { acquire } = open(1000);
    const old = (await acquire())!;
    await (await acquire(later(2000)))!.release();
    await expect(old.check()).rejects.toMatchObject({ code: "LeaseLost", details: { held: 1, current: 2 } });
    await old.release(); // late, and without harm to the numbers
    expect((await acquire())!.number).toBe(3);
  });

  test("that was released may not publish", async () => {
    const { acquire } = open();
    const lease = (await acquire())!;
    await lease.release();
    await lease.release(); // twice is once
    await expect(lease.check()).rejects.toMatchObject({ code: "LeaseLost", details: { held: 1, current: 1 } });
  });

  test("whose folder was deleted may not publish", async () => {
    const { acquire, folder } = open();
    const lease = (await acquire())!;
    await rm(folder, { recursive: true });
    await expect(lease.check()).rejects.toMatchObject({ code: "LeaseLost", details: { held: 1, current: 0 } });
    await lease.release(); // no complaint
  });

  test("expires only after its time: 30 s when nothing else is said", async () => {
    const { acquire } = open();
    await acquire();
    expect(await acquire(later(29_000))).toBeUndefined();
    expect((await acquire(later(31_000)))!.number).toBe(2);
  });

  test("beats by itself, six times within its expiry, so that it lasts for as long as it is held", async () => {
    const { acquire, folder } = open(3000);
    const lease = (await acquire())!;
    const beat = async () => (await stat(join(folder, "000001"))).mtimeMs;
    const first = await beat();
    await expect.poll(beat, { timeout: 2800, interval: 50 }).toBeGreaterThan(first);
    expect(await acquire(() => first + 3001)).toBeUndefined(); // by now it would have expired
    await lease.check();
  });

  test("stops beating when released", async () => {
    const { acquire, folder } = open(60);
    await (await acquire())!.release();
    const beat = async () => (await stat(join(folder, "000001"))).mtimeMs;
    const beatsWithin = async (ms: number) => {
      const before = await beat();
      await sleep(ms);
      return (await beat()) !== before;
    };
    await expect.poll(() => beatsWithin(100)).toBe(false); // some may be under way; if held, it would beat ten times in each wait
  });

  test("does not keep a process from ending", () => {
    const source = new URL("./lease.ts", import.meta.url);
    const program = `import { LeaseStore } from "${source}"; await new LeaseStore("${temporaryFolder()}").acquire("key", Date.now);`;
    execFileSync(process.execPath, ["--input-type=module", "--eval", program], { timeout: 20_000 }); // throws when it is too late
  });

  test("never gets a number twice, also when one was finished between another's look and its claim", async () => {
    const { acquire, folder } = open();
    await (await acquire())!.release();
    // What is there now is what a slow claimant of number 1 would meet.
    await expect(writeFile(join(folder, "000001"), "", { flag: "wx" })).rejects.toMatchObject({ code: "EEXIST" });
    expect((await readdir(folder)).sort()).toEqual(["000001", "000001.released"]);
  });

  test("keeps its order beyond nine attempts", async () => {
    const { acquire } = open();
    for (let number = 1; number <= 12; number++) {
      const lease = (await acquire())!;
      expect(lease.number).toBe(number);
      await lease.check();
      await lease.release();
    }
  });
});

describe("a lease left by another process", () => {
  test("is taken over at once when that process of this machine is dead", async () => {
    const { acquire, folder } = open();
    await leave(folder, { pid: await deadPid(), host: hostname() });
    expect((await acquire())!.number).toBe(2);
  });

  test("stands while that process lives", async () => {
    const { acquire, folder } = open();
    const child = spawn("sleep", ["60"]);
    onTestFinished(() => void child.kill());
    await leave(folder, { pid: child.pid, host: hostname() });
    expect(await acquire()).toBeUndefined();
    const gone = once(child, "exit");
    child.kill();
    await gone;
    expect((await acquire())!.number).toBe(2);
  });

  test("of another machine stands until it expires, since its processes cannot be seen", async () => {
    const { acquire, folder } = open();
    await leave(folder, { pid: await deadPid(), host: "elsewhere" });
    expect(await acquire()).toBeUndefined();
    expect((await acquire(later(31_000)))!.number).toBe(2);
  });

  test("is held by a live process also where it belongs to another user", async () => {
    const { acquire, folder } = open();
    if (process.getuid!() !== 0) {
      await leave(folder, { pid: 1, host: hostname() }); // root's
      expect(await acquire()).toBeUndefined();
      return;
    }
    const child = spawn("sleep", ["60"], { uid: 12345 });
    onTestFinished(() => void child.kill());
    await leave(folder, { pid: child.pid, host: hostname() });
    for (const path of [join(folder, "../.."), join(folder, ".."), folder, join(folder, "000001")]) chmodSync(path, 0o777);
    process.seteuid!(54321);
    try {
      expect(() => process.kill(child.pid!, 0)).toThrow("EPERM");
      expect(await acquire()).toBeUndefined();
    } finally {
      process.seteuid!(0);
    }
  });

  test.each([["empty, as while it is being written", ""], ["torn", '{"pid":']])("that is %s stands until it expires", async (_, content) => {
    const { acquire, folder } = open();
    await leave(folder, content, 29_000);
    expect(await acquire()).toBeUndefined();
    await leave(folder, content, 31_000);
    expect((await acquire())!.number).toBe(2);
  });
});

test.skipIf(!canMount)("a full disk is DiskFull, not a lease held by another (needs root to mount a small disk)", async () => {
  const disk = smallDisk(64);
  await writeFile(join(disk, "filler"), Buffer.alloc(60_000)).catch(() => {});
  for (let i = 0; i < 20; i++) await writeFile(join(disk, `filler-${i}`), Buffer.alloc(4096)).catch(() => {});
  const root = join(disk, "leases");
  await expect(new LeaseStore(root).acquire(KEY, Date.now)).rejects.toMatchObject({ code: "DiskFull", details: { path: root } });
});

test("an error of the disk that is no race comes through", async () => {
  const root = temporaryFolder();
  await writeFile(join(root, KEY), "");
  await expect(new LeaseStore(root).acquire(KEY, Date.now)).rejects.toMatchObject({ code: "EEXIST" });
});
