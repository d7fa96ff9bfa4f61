import { mkdir, readFile, readdir, readlink, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { readSafetensors, writeSafetensors } from "@diffucoder/formats";
import { Tokenizer, trainTokenizer } from "@diffucoder/tokenizer";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Workplace, alterJson, model, parameters, plainTokenizer, tokenizer } from "../test/fixtures.ts";
import { identifyModelFolder, openModelFolder } from "./model-folder.ts";

let workplace: Workplace;
beforeAll(async () => {
  workplace = await Workplace.open();
});
afterAll(() => workplace.close());

async function opened(folder: string) {
  const { config, tokenizer: found, tensors, close } = await openModelFolder(folder);
  await close();
  return { config, json: found.toJson(), names: tensors.map(({ name }) => name), dtypes: new Set(tensors.map(({ dtype }) => dtype)) };
}

describe("a model's folder", () => {
  test("is what was exported, whole or in shards", async () => {
    const whole = { config: model, json: tokenizer.toJson(), names: [...parameters.keys()], dtypes: new Set(["F32"]) };
    expect(await opened(await workplace.published())).toEqual(whole);
    expect(await opened(await workplace.published({ layout: "qwen2", dtype: "BF16", shardBytes: 3000 }))).toEqual({ ...whole, dtypes: new Set(["BF16"]) });
  });

  test("may have the tokenizer in the files of its class only, as Dream does", async () => {
    const folder = await workplace.published();
    await rm(join(folder, "tokenizer.json"));
    expect((await opened(folder)).json).toBe(tokenizer.toJson());
  });

  test("of an autoregressive model gets the tokens of diffusion at the ids behind its last", async () => {
    const folder = await workplace.published({ layout: "qwen2" });
    await writeFile(join(folder, "tokenizer.json"), plainTokenizer.toJson());
    await alterJson(join(folder, "config.json"), (json) => delete json.mask_token_id && delete json.pad_token_id);
    expect(plainTokenizer.vocabSize).toBe(280);
    expect(await opened(folder)).toMatchObject({ config: { ...model, maskId: 281, padId: 282 }, json: tokenizer.toJson() });
  });

  test("pads with the token that instruction tuning learns, whatever its batches were filled with", async () => {
    const folder = await workplace.published();
    await alterJson(join(folder, "config.json"), (json) => (json.pad_token_id = tokenizer.id("<|endoftext|>")));
    expect((await opened(folder)).config.padId).toBe(tokenizer.id("<|dlm_pad|>"));
  });

  const weights = (folder: string) => join(folder, "model.safetensors");
  const bad: [string, (folder: string) => Promise<unknown>, string, RegExp][] = [
    ["has no config.json", (folder) => rm(join(folder, "config.json")), "InvalidRecipe", /expected a model with .*config\.json, found none \(ENOENT\)/],
    ["is not there", (folder) => rm(folder, { recursive: true }), "InvalidRecipe", /expected a model with .*config\.json, found none \(ENOENT\)/],
    ["is a file", async (folder) => {
      await rm(folder, { recursive: true });
      await writeFile(folder, "");
    }, "InvalidRecipe", /expected a model with .*config\.json, found a file where a folder was expected \(ENOTDIR\)/],
    ["has a config.json that is no JSON", (folder) => writeFile(join(folder, "config.json"), "{"), "InvalidRecipe", /config\.json, found Expected property name/],
    ["is of another family", (folder) => alterJson(join(folder, "config.json"), (json) => (json.model_type = "llama")), "WrongConfig", /config\.json: .*\n.*at model_type/],
    ["has no weights", (folder) => rm(weights(folder)), "CheckpointCorrupt", /model\.safetensors: expected a file, found none/],
    ["was cut off", (folder) => truncate(weights(folder), 5000), "SafetensorsCorrupt", /model\.safetensors: tensor .*: expected bytes up to \d+, found a file of 5000/],
    ["lacks a tensor", async (folder) => {
      const tensors = await readSafetensors(weights(folder));
      tensors.delete("model.layers.1.self_attn.k_proj.bias");
      await writeSafetensors(weights(folder), tensors);
    }, "WrongParameters", /model\.safetensors: tensor model\.layers\.1\.self_attn\.k_proj\.bias: expected \[8\], found nothing/],
    ["has a folder in place of its tokenizer", async (folder) => {
      await rm(join(folder, "tokenizer.json"));
      await mkdir(join(folder, "tokenizer.json"));
    }, "CheckpointCorrupt", /tokenizer\.json: expected a file, found a directory/],
    ["has a token that is no text", async (folder) => {
      const bytes = await readFile(join(folder, "tokenizer.json"));
      bytes[bytes.indexOf("<|mask|>") + 3] = 0xff;
      await writeFile(join(folder, "tokenizer.json"), bytes);
    }, "CheckpointCorrupt", /tokenizer\.json: expected text in UTF-8, found other bytes/],
    ["has weights of a type that is not read", async (folder) => {
      const bytes = await readFile(weights(folder), "latin1");
      await writeFile(weights(folder), bytes.replace('"F32"', '"I32"'), "latin1");
    }, "SafetensorsCorrupt", /model\.safetensors: tensor lm_head\.weight: expected dtype F32, BF16 or F16, found I32/],
    ["has another number of rows than its config says", (folder) => alterJson(join(folder, "config.json"), (json) => (json.vocab_size = 300)), "WrongParameters", /tensor model\.embed_tokens\.weight: expected \[300,16\], found \[288,16\]/],
    ["has no tokenizer", async (folder) => Promise.all(["tokenizer.json", "vocab.json"].map((name) => rm(join(folder, name)))), "TokenizerCorrupt", /vocab\.json: expected the file beside the others/],
    ["has a tokenizer of more tokens than rows", async (folder) => {
      const larger = plainTokenizer.withSpecialTokens(Array.from({ length: 20 }, (_, i) => `<|${i}|>`));
      await writeFile(join(folder, "tokenizer.json"), larger.toJson());
    }, "WrongTokenizer", /tokenizer: expected at most 288 tokens, as vocab_size in config\.json, found 303/],
    ["has no rows left for the tokens of diffusion", async (folder) => {
      const full = plainTokenizer.withSpecialTokens(Array.from({ length: 8 }, (_, i) => `<|${i}|>`));
      await writeFile(join(folder, "tokenizer.json"), full.toJson());
    }, "WrongTokenizer", /config\.json: expected vocab_size of at least 291, for the tokenizer's 288 tokens and .*, found 288\. Add rows/],
    ["has the tokenizer of another model", async (folder) => {
      const other = plainTokenizer.withSpecialTokens(["<|other|>"]).withSpecialTokens();
      await writeFile(join(folder, "tokenizer.json"), other.toJson());
    }, "WrongTokenizer", /expected <\|mask\|> at id 281, as mask_token_id in config\.json, found it at 282/],
    ["has a tokenizer of as many tokens and the same special ones, but other merges", async (folder) => {
      const other = (await trainTokenizer(["for each in range(9):\n    print(each)\n"], { vocabSize: 280, specialTokens: ["<|endoftext|>", "<|im_start|>", "<|im_end|>"] })).withSpecialTokens();
      expect(other.vocabSize).toBe(tokenizer.vocabSize);
      await writeFile(join(folder, "tokenizer.json"), other.toJson());
    }, "WrongTokenizer", /tokenizer: expected that of the model, tokenizer_sha256 [0-9a-f]{64} in config\.json, found another, [0-9a-f]{64}\. Put back/],
  ];
  test.each(bad)("that %s is refused, and no file of it stays open", async (_, damage, code, message) => {
    const folder = await workplace.published();
    await damage(folder);
    const opening = openModelFolder(folder);
    await expect(opening).rejects.toMatchObject({ code });
    await expect(opening).rejects.toThrow(message);
    const open = await Promise.all((await readdir("/proc/self/fd")).map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => "")));
    expect(open.filter((path) => path.startsWith(folder))).toEqual([]);
  });
});

test("a folder is read or refused, whichever bytes of a file were altered or lost; errors are typed and name a file", async () => {
  const whole = await workplace.published({ layout: "qwen2" });
  const contents = new Map(await Promise.all(["config.json", "tokenizer.json", "model.safetensors"].map(async (name) => [name, await readFile(join(whole, name))] as const)));
  const damage = fc.record({ name: fc.constantFrom(...contents.keys()), at: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }), bytes: fc.option(fc.uint8Array({ minLength: 1, maxLength: 8 }), { nil: undefined }), early: fc.boolean() });
  await fc.assert(
    fc.asyncProperty(damage, async ({ name, at, bytes, early }) => {
      const damaged = Buffer.from(contents.get(name)!);
      const place = Math.floor(at * (early ? Math.min(400, damaged.length) : damaged.length)); // headers and keys stand first
      if (bytes !== undefined) damaged.set(bytes.subarray(0, damaged.length - place), place);
      await writeFile(join(whole, name), bytes === undefined ? damaged.subarray(0, place) : damaged);
      const found = await opened(whole).catch((error: unknown) => error);
      await writeFile(join(whole, name), contents.get(name)!);
      if (found instanceof Error) expect(found).toMatchObject({ retryable: false, message: expect.stringMatching(/config\.json|tokenizer\.json|model\.safetensors/) as string, code: expect.stringMatching(/Corrupt$|^Wrong|^InvalidRecipe$|^UnknownToken$/) as string });
    }),
    { numRuns: 300 },
  );
}, 60_000);

test("its identity covers each file that decides what it is, and no other", async () => {
  const folder = await workplace.published({ shardBytes: 20_000 });
  await writeFile(join(folder, "README.md"), "words");
  const identity = await identifyModelFolder(folder);
  expect(Object.keys(identity)).toEqual([
    "added_tokens.json",
    "config.json",
    "merges.txt",
    "model-00001-of-00003.safetensors",
    "model-00002-of-00003.safetensors",
    "model-00003-of-00003.safetensors",
    "model.safetensors.index.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
  ]);
  expect(Object.values(identity).every((digest) => /^[0-9a-f]{64}$/.test(digest))).toBe(true);
  await alterJson(join(folder, "config.json"), (json) => (json.rope_theta = 1));
  const changed = await identifyModelFolder(folder);
  expect(Object.keys(changed).filter((name) => changed[name] !== identity[name])).toEqual(["config.json"]);
});

test("an exported tokenizer reads alike from either form", async () => {
  const folder = await workplace.published();
  const text = (name: string) => readFile(join(folder, name), "utf8");
  const files = { "vocab.json": await text("vocab.json"), "merges.txt": await text("merges.txt"), "tokenizer_config.json": await text("tokenizer_config.json") };
  expect(Tokenizer.fromFiles(files).toJson()).toBe(await text("tokenizer.json"));
});
