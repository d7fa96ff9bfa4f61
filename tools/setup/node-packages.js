import { createHash } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ROOT, isThere, run } from "./command.js";

const STAMP = join(ROOT, "node_modules", ".setup-lock");

const lockDigest = async () => createHash("sha256").update(await readFile(join(ROOT, "package-lock.json"))).digest("hex");

/** npm packages as locked, without their install scripts; Node 24 is one of them. */
export const nodePackages = {
  name: "npm packages",
  megabytes: 1100,
  after: [],
  check: async () => {
    const installed = await readFile(STAMP, "utf8").catch(() => undefined);
    const isCurrent = installed === (await lockDigest()) && (await isThere(join(ROOT, "node_modules", ".bin", "node")));
    return isCurrent ? "as locked" : undefined;
  },
  run: async () => {
    await run("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund"], { next: "npm ci --ignore-scripts" });
    await writeFile(STAMP, await lockDigest());
    return "installed";
  },
};
