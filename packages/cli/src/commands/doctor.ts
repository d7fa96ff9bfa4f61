import { execFile } from "node:child_process";
import { statfs } from "node:fs/promises";
import { promisify } from "node:util";
import { Command } from "commander";
import { findTemporal, liveWorkers, openHome, serverStatus } from "@diffucoder/orchestrator";
import { EXIT } from "../exit-codes.ts";
import { outputOption, print, table, type OutputFormat } from "../output.ts";
import { formatBytes } from "../quantities.ts";

interface Finding {
  readonly subject: string;
  readonly state: "ok" | "note" | "missing";
  readonly found: string;
}

/** Each throws what is missing, with the fix in its message; a note is no obstacle. */
const CHECKS: Readonly<Record<string, () => Promise<string | { readonly note: string }>>> = {
  node: async () => {
    if (Number(process.versions.node.split(".")[0]) < 24) throw new Error(`expected 24 or newer, found ${process.version}. Run \`npm run setup\`.`);
    return process.version;
  },
  backend: async () => {
    const { backendInfo, resolveDtype } = await import("@diffucoder/engine");
    const { backend, libtensorflow, instructionSet, threads, slowerBecause, slowerByDemand } = await backendInfo();
    const found = `${backend}, libtensorflow ${libtensorflow}, ${instructionSet}, ${threads} threads, fast in ${resolveDtype("auto")}`;
    const notes = [slowerBecause, slowerByDemand].filter((note) => note !== undefined);
    return notes.length === 0 ? found : { note: [found, ...notes].join("; ") };
  },
  temporal: async () => (await promisify(execFile)(findTemporal(), ["--version"])).stdout.trim(),
  sandbox: async () => {
    const { probeSandbox } = await import("@diffucoder/sandbox");
    return Object.values(await probeSandbox()).join(", ");
  },
  pip: async () => {
    const { stdout } = await promisify(execFile)("python3", ["-m", "pip", "--version"]);
    return stdout.trim();
  },
  server: async () => {
    const { isUp, address, kind } = await serverStatus(openHome());
    return isUp ? `${kind}, up at ${address}` : { note: `${kind}, down; \`diffucoder run\` starts it` };
  },
  workers: async () => {
    const count = liveWorkers(openHome()).length;
    return count > 0 ? `${count} up` : { note: "none; `diffucoder run` starts one" };
  },
  disk: async () => {
    const { root } = openHome();
    const { bavail, bsize } = await statfs(root);
    const free = bavail * bsize;
    if (free < LEAST_FREE_BYTES) throw new Error(`${root}: expected at least ${formatBytes(LEAST_FREE_BYTES)} free, found ${formatBytes(free)}. \`diffucoder gc --plan\` lists what can go.`);
    return `${formatBytes(free)} free at ${root}`;
  },
};

const LEAST_FREE_BYTES = 1e9;

export function doctorCommand(): Command {
  return new Command("doctor")
    .description("check what runs need, and say how to mend what is missing")
    .addOption(outputOption())
    .action(async ({ output }: { output: OutputFormat }) => {
      const findings = await Promise.all(Object.entries(CHECKS).map(([subject, check]) => examine(subject, check)));
      print(output, findings, (all) => table(["subject", "state", "found"], all.map(({ subject, state, found }) => [subject, state, found])));
      if (findings.some(({ state }) => state === "missing")) process.exitCode = EXIT.damaged;
    });
}

async function examine(subject: string, check: (typeof CHECKS)[string]): Promise<Finding> {
  try {
    const found = await check();
    return typeof found === "string" ? { subject, state: "ok", found } : { subject, state: "note", found: found.note };
  } catch (error) {
    return { subject, state: "missing", found: error instanceof Error ? error.message : String(error) };
  }
}
