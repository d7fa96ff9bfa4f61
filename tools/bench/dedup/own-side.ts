// This project's near-deduplication over a JSONL file of texts, in one thread: own-side.ts DOCUMENTS FOLDER THRESHOLD SCHEME.
// Prints one JSON object: CPU seconds of each step, the pairs found alike, and the documents removed.
import { readFileSync } from "node:fs";
import { findNearDuplicates, type MinHashScheme } from "@diffucoder/corpus";
import type { BenchDocument } from "./read-documents.ts";

const [path, directory, threshold, scheme] = process.argv.slice(2) as [string, string, string, string];
const documents = readFileSync(path, "utf8").trimEnd().split("\n").map((line) => JSON.parse(line) as BenchDocument);
const placeOf = new Map(documents.map(({ id }, place) => [id, place]));

const cpu: Record<string, number> = {};
const cpuSeconds = () => process.cpuUsage().user / 1e6 + process.cpuUsage().system / 1e6;
let before = cpuSeconds();
const mark = (step: string) => {
  const now = cpuSeconds();
  cpu[step] = (cpu[step] ?? 0) + now - before;
  before = now;
};
const result = await findNearDuplicates(documents, { directory, threshold: Number(threshold), scheme: JSON.parse(scheme) as MinHashScheme, onProgress: ({ phase }) => mark(phase) });
mark("cluster");
const pairs = [...result.candidates().filter(({ similarity }) => similarity >= Number(threshold))].map(({ firstId, secondId }) => [placeOf.get(firstId), placeOf.get(secondId)]);
const removed = [...result.removals()].map(({ id }) => placeOf.get(id));
process.stdout.write(`${JSON.stringify({ cpu, pairs, removed })}\n`);
