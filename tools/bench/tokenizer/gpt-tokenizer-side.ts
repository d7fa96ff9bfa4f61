// gpt-tokenizer with cl100k_base as it comes, driven like peer_side.py.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const [corpus, folder] = process.argv.slice(2) as [string, string];
const texts = JSON.parse(readFileSync(corpus, "utf8")) as string[];
const { encode } = (await import(pathToFileURL(join(folder, "esm", "encoding", "cl100k_base.js")).href)) as { encode(text: string, options: { disallowedSpecial: Set<string> }): number[] };
const options = { disallowedSpecial: new Set<string>() };
for await (const _ of createInterface({ input: process.stdin })) {
  const start = performance.now();
  let tokens = 0;
  for (const text of texts) tokens += encode(text, options).length;
  console.log(JSON.stringify({ ms: performance.now() - start, tokens }));
}
