import { openStore, runStage } from "@diffucoder/lineage";
import { tokenizeStage } from "../src/index.ts";

/** Tokenizes the documents of a store, and prints the stage's summary and the process's largest memory in bytes. */
const [store, digest] = process.argv.slice(2);
const { summary } = await runStage({
  store: await openStore(store!),
  definition: tokenizeStage,
  numerics: { dtype: "fp32", instructionSet: "any", threads: 1, libtensorflow: "none" },
  signal: new AbortController().signal,
  now: () => performance.now(),
  request: {
    recipe: { vocabSize: 300, trainingBytes: 1 << 17, tokensPerShard: 1 << 20, packing: "repository" },
    execution: {},
    inputs: { documents: { kind: "documents", digest: digest! } },
    seed: 1,
    baseDirectory: ".",
  },
});
process.stdout.write(JSON.stringify({ summary, peakBytes: process.resourceUsage().maxRSS * 1024 }));
