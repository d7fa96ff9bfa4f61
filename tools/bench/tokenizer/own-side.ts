// This project's tokenizer, driven over standard input and output like peer_side.py.
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { Tokenizer } from "@diffucoder/tokenizer";

const [corpus, vocabulary] = process.argv.slice(2) as [string, string];
const texts = JSON.parse(readFileSync(corpus, "utf8")) as string[];
const tokenizer = Tokenizer.fromJson(readFileSync(vocabulary, "utf8"));
for await (const _ of createInterface({ input: process.stdin })) {
  const start = performance.now();
  let tokens = 0;
  for (const text of texts) tokens += tokenizer.encode(text).length;
  console.log(JSON.stringify({ ms: performance.now() - start, tokens }));
}
