import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { cacheDirectory } from "@diffucoder/lineage";

const TORCH = "2.15.0";
const TRANSFORMERS = "5.24.0";
/** The version that DiffuCoder's `config.json` names. */
export const TRANSFORMERS_OF_DIFFUCODER = "4.51.3";

interface HuggingFaceOptions {
  readonly torch?: boolean;
  /** Version; the newest unless given. */
  readonly transformers?: string;
}

/** Runs a Python script of this folder under Hugging Face's libraries; what it prints must be JSON. */
export function runHuggingFace<T>(script: string, args: readonly string[], options: HuggingFaceOptions = {}): T {
  const { transformers = TRANSFORMERS } = options;
  const newest = transformers === TRANSFORMERS ? ["tokenizers==0.23.3", "safetensors==0.8.0", "tiktoken==0.14.0"] : [];
  const python = pythonPeer(`huggingface-${transformers}`, [`transformers==${transformers}`, ...newest, "numpy"]);
  // PyTorch brings gigabytes along, so all that compare with it share one environment.
  const path = options.torch === true ? sitePackages(pythonPeer(`torch-${TORCH}`, [`torch==${TORCH}`, "numpy"])) : undefined;
  const env = { ...process.env, TOKENIZERS_PARALLELISM: "false", HF_HUB_OFFLINE: "1", ...(path === undefined ? {} : { PYTHONPATH: path }) };
  const output = execFileSync(python, [join(import.meta.dirname, script), ...args], { env, stdio: ["ignore", "pipe", "inherit"], maxBuffer: 2 ** 30, encoding: "utf8" });
  return JSON.parse(output) as T;
}

/** Files of an npm package that is only compared with, in the cache. */
export function npmPeer(name: string, version: string): string {
  const folder = join(cacheDirectory(), "peers", `${name}-${version}`);
  install(folder, () => {
    execFileSync("npm", ["install", "--prefix", folder, "--ignore-scripts", "--no-audit", "--no-fund", `${name}@${version}`], { stdio: "ignore" });
  });
  return join(folder, "node_modules", name);
}

export function pythonPeer(name: string, packages: readonly string[]): string {
  const folder = join(cacheDirectory(), "peers", name);
  const python = join(folder, "bin", "python");
  install(folder, () => {
    execFileSync("python3", ["-m", "venv", folder]);
    execFileSync(python, ["-m", "pip", "install", "--quiet", ...packages], { stdio: "inherit" });
  });
  return python;
}

/** Runs Chromium without a window and gives what it prints; installed by apt where it is missing and this is root. */
export function runChromium(args: readonly string[]): string {
  const found = findChromium();
  if (found === undefined && process.getuid?.() === 0) {
    console.log("installing chromium, once");
    execFileSync("apt-get", ["update", "--quiet"], { stdio: "ignore" });
    execFileSync("apt-get", ["install", "--yes", "--quiet", "chromium"], { stdio: "ignore" });
  }
  const browser = found ?? findChromium();
  if (browser === undefined) throw new Error("chromium: expected it on the path, found none. Install it: apt-get install chromium");
  return execFileSync(browser, ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--virtual-time-budget=10000", ...args], { stdio: ["ignore", "pipe", "ignore"], maxBuffer: 2 ** 28, encoding: "utf8" });
}

function findChromium(): string | undefined {
  const folders = (process.env.PATH ?? "").split(delimiter);
  return ["chromium", "chromium-browser", "google-chrome"].flatMap((name) => folders.map((folder) => join(folder, name))).find(existsSync);
}

function install(folder: string, work: () => void): void {
  if (existsSync(join(folder, "installed"))) return;
  console.log(`installing into ${folder}, once`);
  work();
  writeFileSync(join(folder, "installed"), "");
}

function sitePackages(python: string): string {
  const libraries = join(python, "..", "..", "lib");
  const version = readdirSync(libraries).find((name) => name.startsWith("python"))!;
  return join(libraries, version, "site-packages");
}
