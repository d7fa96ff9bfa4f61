// The corpus beside others: Python's own parser, and Parquet as Arrow writes and reads it.
import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SignalMeter, corpusStage } from "@diffucoder/corpus";
import { DOCUMENTS_FILE, readDocuments } from "@diffucoder/formats";
import { openStore, runStage } from "@diffucoder/lineage";
import { afterAll, beforeAll, expect, test } from "vitest";
import { pythonPeer } from "./peers.ts";

const MINUTES = 60_000;

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "corpus-"));
});
afterAll(() => rm(folder, { recursive: true }));

/** Python files of this machine's standard library that are UTF-8, its tests and leftovers of Python 2 among them. */
function standardLibrary(): string[] {
  const script = "import glob, json, sysconfig\nroot = sysconfig.get_path('stdlib')\nprint(json.dumps(sorted(glob.glob(root + '/**/*.py', recursive=True))))";
  const paths = JSON.parse(execFileSync("python3", ["-I", "-c", script], { encoding: "utf8", maxBuffer: 2 ** 28 })) as string[];
  return paths.filter((path) => !path.includes("site-packages"));
}

async function readUtf8(path: string): Promise<string | undefined> {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(await readFile(path));
  } catch {
    return undefined;
  }
}

interface Facts {
  readonly parses: boolean;
  readonly functions: number;
  readonly trivialFunctions: number;
  readonly classes: number;
  readonly hasVariables: boolean;
}

test(
  "what the signals say of Python files is what Python's parser says: all but 2 of a thousand files agree",
  async () => {
    const texts = new Map<string, string>();
    for (const path of standardLibrary().slice(0, 1200)) {
      const text = await readUtf8(path);
      if (text !== undefined && text.length < 1 << 20) texts.set(path, text);
    }
    const paths = [...texts.keys()];
    const facts = JSON.parse(execFileSync("python3", ["-I", join(import.meta.dirname, "python_facts.py")], { input: JSON.stringify(paths), encoding: "utf8", maxBuffer: 2 ** 28 })) as Facts[];
    const meter = await SignalMeter.create();
    const differing: string[] = [];
    for (const [i, path] of paths.entries()) {
      const { signals } = meter.measure(texts.get(path)!, "python", path);
      const { parses, functions, trivialFunctions, hasVariables } = facts[i]!;
      const near = (signal: number | undefined, count: number, other: number | undefined, otherCount: number) => signal === undefined || other === undefined || Math.abs(signal * otherCount - other * count) < 1e-9;
      const isSame =
        signals.cate_ast === (parses ? 1 : 0) &&
        (!parses || (signals.cate_var_zero === (hasVariables ? 0 : 1) && near(signals.frac_lines_func_ratio, functions, signals.frac_lines_simplefunc, trivialFunctions) && (functions > 0) === ((signals.frac_lines_func_ratio ?? 0) > 0)));
      if (!isSame) differing.push(`${path} ${JSON.stringify(facts[i])} ${signals.cate_ast} ${signals.cate_var_zero} ${signals.frac_lines_func_ratio}`);
    }
    meter.close();
    console.log(`${paths.length} files, ${differing.length} differ: ${differing.slice(0, 8).join(", ")}`);
    expect(paths.length).toBeGreaterThan(900);
    expect(differing.length / paths.length).toBeLessThanOrEqual(0.002);
  },
  5 * MINUTES,
);

const WRITE = `
import pyarrow as pa, pyarrow.parquet as pq, sys
rows = [{"content": f"x = {i}\\n" * (i % 7 + 1), "path": f"d{i % 3}/{i}.py", "licenses": ["MIT"] if i % 2 else [], "stars": i} for i in range(500)]
for codec in ["none", "snappy", "gzip", "brotli", "zstd"]:
    pq.write_table(pa.Table.from_pylist(rows), f"{sys.argv[1]}/{codec}.parquet", compression=codec, row_group_size=128, data_page_size=512)
`;

const CARD = (name: string) => `
id: tiny
version: "1"
title: Tiny
description: Rows that pyarrow wrote.
selection: None.
personalData: None.
benchmarkOverlap: None.
knownGaps: All.
fitUses: Tests.
unfitUses: All others.
origin: { kind: table, files: [{ path: ${name}.parquet }], columns: { content: content, path: path, license: licenses, stars: stars }, license: ISC }
`;

async function corpusOf(name: string) {
  await mkdir(join(folder, name), { recursive: true });
  await writeFile(join(folder, `${name}.yaml`), CARD(name));
  const store = await openStore(join(folder, name, "store"));
  const request = { recipe: { sources: [{ card: `${name}.yaml` }], quality: { thresholds: "stack-v2-like", changes: { frac_chars_alphabet: {} } } }, execution: {}, inputs: {}, seed: 1, baseDirectory: folder };
  const numerics = { dtype: "fp32", instructionSet: "any", threads: 1, libtensorflow: "none" } as const;
  const { outputs } = await runStage({ store, definition: corpusStage, request, numerics, signal: new AbortController().signal, now: Date.now });
  await store.artifacts.materialize(outputs.documents!, join(folder, name, "documents"));
  return outputs.documents!.digest;
}

test(
  "Parquet that Arrow writes is read whatever its compression, and Arrow reads the tables of a corpus",
  async () => {
    const python = pythonPeer("arrow-pyarrow-26.0.1-polars-2.1.0", ["pyarrow==26.0.1", "polars==2.1.0"]);
    execFileSync(python, ["-c", WRITE, folder]);
    const digests = new Set<string>();
    for (const codec of ["none", "snappy", "gzip", "brotli", "zstd"]) {
      await corpusOf(codec);
      const rows = await Array.fromAsync(readDocuments(join(folder, codec, "documents", DOCUMENTS_FILE)));
      expect(rows).toHaveLength(500);
      expect(rows[8]).toMatchObject({ path: "d2/8.py", license: "ISC", text: "x = 8\n".repeat(2) });
      expect(rows[9]).toMatchObject({ license: "MIT" });
      digests.add(JSON.stringify(rows));
    }
    expect(digests.size).toBe(1);
    const script = "import json, sys\nimport pyarrow.parquet as pq\nt = pq.read_table(sys.argv[1])\nprint(json.dumps([t.num_rows, t.column_names[:3], t.column('num_lines')[6].as_py(), t.column('num_sentences').null_count]))";
    const found = JSON.parse(execFileSync(python, ["-c", script, join(folder, "zstd", "documents", "attributes", "quality.parquet")], { encoding: "utf8" })) as unknown;
    expect(found).toEqual([500, ["doc_id", "family", "size_file_byte"], 7, 500]);
  },
  5 * MINUTES,
);
