// One near-deduplication of synthetic documents, in a process of its own: synthetic-run.ts FOLDER COUNT WORKERS. Prints JSON.
import { findNearDuplicates, type NearDuplicateDocument } from "@diffucoder/corpus";
import { syntheticDocuments } from "./synthetic.ts";

const [directory, count, workers] = process.argv.slice(2) as [string, string, string];
const started = performance.now();
let bytes = 0;
function* counted(): Generator<NearDuplicateDocument> {
  for (const document of syntheticDocuments(Number(count))) {
    bytes += document.text.length;
    yield document;
  }
}
const { summary, units } = await findNearDuplicates(counted(), { directory, threshold: 0.8, execution: { workers: Number(workers) } });
process.stdout.write(JSON.stringify({ summary, units, bytes, seconds: (performance.now() - started) / 1000, peakBytes: process.resourceUsage().maxRSS * 1024 }));
