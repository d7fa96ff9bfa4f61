import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Weights, tensorsToWrite, writeWeights, type NamedTensor } from "@diffucoder/formats";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { tinyConfig, vividParameters } from "../test/tiny-model.ts";
import { ModelError } from "./errors.ts";
import { checkVocabulary, modelTensors } from "./hugging-face.ts";

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "hugging-face-"));
});
afterEach(() => rm(directory, { recursive: true }));

/** `modelTensors` of what lies on disk, written once more and read. */
async function rewritten(parameters: ReadonlyMap<string, NamedTensor>, config = tinyConfig()): Promise<Map<string, NamedTensor>> {
  await writeWeights(directory, tensorsToWrite(parameters, "F32"), 4000);
  const weights = await Weights.open(async (path) => join(directory, path));
  try {
    const tensors = await modelTensors(config, weights);
    return new Map(await Promise.all(tensors.map(async ({ name, shape, dtype, bytes }) => {
      expect(dtype).toBe("F32");
      return [name, { shape, data: new Float32Array(Uint8Array.from(await bytes()).buffer) }] as const;
    })));
  } finally {
    await weights.close();
  }
}

describe("weights on disk", () => {
  const parameters = vividParameters(tinyConfig());

  test.each([true, false])("come as they are, tied (%s) or not", async (tied) => {
    const whole = vividParameters(tinyConfig({ tied }));
    expect(await rewritten(whole, tinyConfig({ tied }))).toEqual(whole);
  });

  test("come without what follows from the rest", async () => {
    const frequencies = { shape: [2], data: Float32Array.of(1, 0.1) };
    const more = new Map(parameters).set("lm_head.weight", parameters.get("model.embed_tokens.weight")!).set("model.layers.1.self_attn.rotary_emb.inv_freq", frequencies);
    expect(await rewritten(more)).toEqual(parameters);
  });

  const wrong: [string, (changed: Map<string, NamedTensor>) => unknown, string, RegExp][] = [
    ["lack a tensor", (changed) => changed.delete("model.layers.1.mlp.up_proj.weight"), "tensor model.layers.1.mlp.up_proj.weight: expected [24,16], found nothing", /model-00001-of-0000\d.safetensors, .*model-00002-of-/],
    ["have a tensor of another shape", (changed) => changed.set("model.norm.weight", { shape: [4], data: new Float32Array(4) }), "tensor model.norm.weight: expected [16], found [4]", /model-0000\d-of-0000\d.safetensors: /],
    ["have a tensor of another model", (changed) => changed.set("model.layers.0.self_attn.q_norm.weight", { shape: [4], data: new Float32Array(4) }), "tensor model.layers.0.self_attn.q_norm.weight: expected none of that name, found one", /model-0000\d-of-0000\d.safetensors: /],
    ["have a head of their own beside a tied embedding", (changed) => changed.set("lm_head.weight", { shape: [11, 16], data: new Float32Array(176) }), "tensor lm_head.weight: expected the embedding once more, since tie_word_embeddings is true, found other numbers", /safetensors: /],
  ];
  test.each(wrong)("are refused when they %s, naming file and tensor", async (_, change, problem, file) => {
    const changed = new Map(parameters);
    change(changed);
    const reading = rewritten(changed);
    await expect(reading).rejects.toThrow(ModelError);
    await expect(reading).rejects.toMatchObject({ code: "WrongParameters", retryable: false, message: expect.stringContaining(problem) as string });
    await expect(reading).rejects.toThrow(file);
  });
});

describe("a tokenizer", () => {
  const config = tinyConfig(); // 11 rows, mask 9, pad 10
  const tokenizer = (vocabSize: number, mask: number, pad = 10) => ({ vocabSize, id: (token: string) => ({ "<|mask|>": mask, "<|dlm_pad|>": pad })[token]! });

  test("may have fewer tokens than the model has rows", () => {
    expect(() => checkVocabulary(config, tokenizer(11, 9))).not.toThrow();
    expect(() => checkVocabulary(config, tokenizer(10, 9))).not.toThrow();
  });

  test("is refused when it has more, or another mask or pad", () => {
    expect(() => checkVocabulary(config, tokenizer(12, 9))).toThrow(expect.objectContaining({ code: "WrongTokenizer", message: expect.stringContaining("expected at most 11 tokens, as vocab_size in config.json, found 12") as string }));
    expect(() => checkVocabulary(config, tokenizer(11, 8))).toThrow("expected <|mask|> at id 9, as mask_token_id in config.json, found it at 8");
    expect(() => checkVocabulary(config, tokenizer(11, 9, 7))).toThrow("expected <|dlm_pad|> at id 10, as pad_token_id in config.json, found it at 7");
  });
});
