// `npm run bench:decode-cache -- FOLDER [TASKS]`: what blocks, their cache and parallel decoding save on a trained checkpoint (a
// folder as `diffucoder export` writes it), beside the plain sampler and with the score of each on held-out tasks.
import { cpus } from "node:os";
import { join } from "node:path";
import { backendInfo } from "@diffucoder/engine";
import { createBlockSampler, createSampler, decode, loadModel, type CacheKind, type DecodeOptions } from "@diffucoder/model";
import { createSandbox } from "@diffucoder/sandbox";
import { END_OF_TURN, answerText, generateTasks, renderPrompt, scoreAnswers } from "@diffucoder/tasks";

const CANVAS = 256;
const BLOCK = 32;
const BATCH = 4;

const [folder, taskCount = "64"] = process.argv.slice(2);
if (folder === undefined) {
  console.error("expected a folder as `diffucoder export` writes it, found none; see tools/bench/README.md for the one that was measured");
  process.exit(2);
}
const { model, parameters, tokenizer } = await loadModel(async (path) => join(folder, path));
const tasks = generateTasks({ families: ["named"], split: "heldout", count: Number(taskCount), seed: 1 });
const prompts = tasks.map((task) => tokenizer.encode(renderPrompt(task), { specials: true }));
const windowLength = CANVAS - Math.min(...prompts.map(({ length }) => length));
const shape = { batchSize: BATCH, canvasLength: CANVAS, windowLength, dtype: "fp32" } as const;
const plain: DecodeOptions = {
  prompts,
  maskId: model.maskId,
  steps: windowLength,
  algorithm: "maskgit_plus",
  temperature: 0,
  streamOf: (sample) => ({ seed: 1, stage: "bench", sample, purpose: "decode" }),
};
const parallel = { commit: { rule: "threshold", threshold: 0.9 } } as const;
const stop = { stop: { endId: tokenizer.id(END_OF_TURN), fillId: model.padId } };
const WAYS: readonly { readonly name: string; readonly cache?: CacheKind; readonly changes: Partial<DecodeOptions> }[] = [
  { name: "plain, one token a step", changes: {} },
  { name: `blocks of ${BLOCK}`, changes: { blockLength: BLOCK } },
  { name: `blocks of ${BLOCK}, threshold 0.9`, changes: { blockLength: BLOCK, ...parallel } },
  { name: "prefix cache", cache: "prefix", changes: {} },
  { name: "dual cache", cache: "dual", changes: {} },
  { name: "prefix cache, threshold 0.9", cache: "prefix", changes: parallel },
  { name: "dual cache, threshold 0.9", cache: "dual", changes: parallel },
  { name: "dual cache, factor 1", cache: "dual", changes: { commit: { rule: "factor", factor: 1 } } },
  { name: "dual cache, threshold 0.9, stops", cache: "dual", changes: { ...parallel, ...stop } },
];

const { threads, instructionSet } = await backendInfo();
console.log(`${cpus()[0]!.model.trim()} (${instructionSet}), ${threads} threads; ${tasks.length} held-out tasks on canvases of ${CANVAS} tokens, ${BATCH} at once, greedy\n`);
const sandbox = await createSandbox({ workers: threads });
let slowest: number | undefined;
for (const { name, cache, changes } of WAYS) {
  const sampler = cache === undefined ? await createSampler(model, shape) : await createBlockSampler(model, { ...shape, blockLength: BLOCK, cache });
  sampler.setParameters(parameters);
  let evaluations = 0;
  const options = { ...plain, ...changes, onStep: () => void evaluations++ };
  decode(sampler, { ...options, prompts: prompts.slice(0, BATCH) });
  evaluations = 0;
  const start = performance.now();
  const canvases = decode(sampler, options);
  const seconds = (performance.now() - start) / 1000;
  sampler.dispose();
  slowest ??= seconds;
  const answers = canvases.map(({ tokens, promptLength }, i) => ({ task: tasks[i]!, completion: answerText(tokens, promptLength, tokenizer, [model.padId, model.maskId]) }));
  const passed = (await scoreAnswers(sandbox, answers)).filter(({ status }) => status === "passed").length;
  console.log(`  ${name.padEnd(34)} ${seconds.toFixed(2).padStart(7)} s  ${String(evaluations).padStart(5)} evaluations  ${(slowest / seconds).toFixed(1).padStart(5)} times as fast  ${passed} of ${tasks.length} solved`);
}
await sandbox.close();
process.exit(0);
