// `npm run bench:tokenizer`: encoding real files on one thread beside `tokenizers`, `tiktoken` and `gpt-tokenizer`.
import { execFileSync, spawn } from "node:child_process";
import { existsSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { cacheDirectory } from "@diffucoder/lineage";

const TOKENIZERS = "0.23.3";
const TIKTOKEN = "0.14.0";
const GPT_TOKENIZER = "4.0.0";
const TURNS = 5;
const CORPUS_BYTES = 20e6;
const ROOT = join(import.meta.dirname, "..", "..", "..");

const python = installPython();
const gptTokenizer = installGptTokenizer();
const ranks = join(gptTokenizer, "data", "cl100k_base.tiktoken");
const folder = await mkdtemp(join(tmpdir(), "bench-tokenizer-"));
try {
  const vocabulary = join(folder, "tokenizer.json");
  execFileSync(python, [join(ROOT, "test", "interop", "tokenizer_peer.py"), "ranks", ranks, vocabulary]);
  const texts = readTexts();
  const bytes = texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
  const corpus = join(folder, "corpus.json");
  writeFileSync(corpus, JSON.stringify(texts));
  console.log(`${cpus()[0]!.model.trim()}, one thread; ${texts.length} files, ${(bytes / 1e6).toFixed(1)} MB; vocabulary cl100k_base under Qwen2's pattern\n`);
  const node = (module: string, ...args: string[]) => [process.execPath, "--conditions=@diffucoder/source", join(import.meta.dirname, module), ...args];
  await compare(bytes, [
    openSide("ours", node("own-side.ts", corpus, vocabulary)),
    openSide(`tiktoken ${TIKTOKEN}`, [python, join(import.meta.dirname, "peer_side.py"), "tiktoken", corpus, ranks]),
    openSide(`tokenizers ${TOKENIZERS}`, [python, join(import.meta.dirname, "peer_side.py"), "tokenizers", corpus, vocabulary]),
    openSide(`gpt-tokenizer ${GPT_TOKENIZER} (its own pattern)`, node("gpt-tokenizer-side.ts", corpus, gptTokenizer)),
  ]);
} finally {
  await rm(folder, { recursive: true });
}
process.exit(0);

interface Side {
  readonly name: string;
  readonly run: () => Promise<{ ms: number; tokens: number }>;
  readonly end: () => void;
}

/** The first turn of each side fills its caches and is not counted. */
async function compare(bytes: number, sides: readonly Side[]): Promise<void> {
  const turns = new Map(sides.map(({ name }) => [name, [] as number[]]));
  const tokens = new Map<string, number>();
  for (let turn = 0; turn <= TURNS; turn += 1) {
    for (const { name, run } of sides) {
      const { ms, tokens: count } = await run();
      tokens.set(name, count);
      if (turn > 0) turns.get(name)!.push(bytes / 1e3 / ms);
    }
  }
  for (const { name, end } of sides) {
    const speeds = turns.get(name)!.sort((a, b) => a - b);
    console.log(`  ${name.padEnd(40)} ${speeds[TURNS >> 1]!.toFixed(1).padStart(6)} MB/s  (${speeds[0]!.toFixed(1)} to ${speeds.at(-1)!.toFixed(1)})  ${tokens.get(name)} tokens`);
    end();
  }
}

function openSide(name: string, [command, ...args]: readonly string[]): Side {
  const child = spawn(command!, args, { stdio: ["pipe", "pipe", "inherit"], env: { ...process.env, TOKENIZERS_PARALLELISM: "false", RAYON_NUM_THREADS: "1" } });
  const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const run = async () => {
    child.stdin.write("run\n");
    const { value, done } = await answers.next();
    if (done === true) throw new Error(`${name}: expected an answer, found that it ended`);
    return JSON.parse(value as string) as { ms: number; tokens: number };
  };
  return { name, run, end: () => child.kill() };
}

/** Sources and prose of the packages installed here, spread evenly over them. */
function readTexts(): string[] {
  const modules = join(ROOT, "node_modules");
  const files = readdirSync(modules, { recursive: true, encoding: "utf8" }).filter((name) => /\.(js|ts|md|py)$/.test(name)).sort();
  const texts: string[] = [];
  const every = Math.max(1, Math.floor(files.length / 4000));
  for (let i = 0, bytes = 0; i < files.length && bytes < CORPUS_BYTES; i += every) {
    const text = readFileSync(join(modules, files[i]!), "utf8");
    if (text.length > 100_000) continue;
    texts.push(text);
    bytes += Buffer.byteLength(text);
  }
  return texts;
}

function installPython(): string {
  const environment = join(cacheDirectory(), "peers", `tokenizers-${TOKENIZERS}`);
  const executable = join(environment, "bin", "python");
  install(environment, () => {
    execFileSync("python3", ["-m", "venv", environment]);
    execFileSync(executable, ["-m", "pip", "install", "--quiet", `tokenizers==${TOKENIZERS}`, `tiktoken==${TIKTOKEN}`, "numpy"], { stdio: "inherit" });
  });
  return executable;
}

function installGptTokenizer(): string {
  const environment = join(cacheDirectory(), "peers", `gpt-tokenizer-${GPT_TOKENIZER}`);
  install(environment, () => {
    execFileSync("npm", ["install", "--prefix", environment, "--ignore-scripts", "--no-audit", "--no-fund", `gpt-tokenizer@${GPT_TOKENIZER}`], { stdio: "ignore" });
  });
  return join(environment, "node_modules", "gpt-tokenizer");
}

function install(environment: string, work: () => void): void {
  if (existsSync(join(environment, "installed"))) return;
  console.log(`installing into ${environment}, once`);
  work();
  writeFileSync(join(environment, "installed"), "");
}
