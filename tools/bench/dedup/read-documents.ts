import { createHash } from "node:crypto";
import { globSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";

/** A text under the id that its bytes give it. */
export interface BenchDocument {
  readonly id: string;
  readonly text: string;
}

const SOURCE_FILES = "**/*.{py,js,ts,c,h,java,go,rs}";
const LARGEST_BYTES = 1 << 20;

/**
 * Distinct texts of directories (their source files) and JSONL files (`content` or `text`, .gz or not): `count` of them,
 * those whose ids come first, so that they are spread over all paths and always the same.
 */
export function readDocuments(paths: readonly string[], count: number): BenchDocument[] {
  const byId = new Map<string, string>();
  for (const path of paths) {
    for (const text of statSync(path).isDirectory() ? sourceTexts(path) : jsonlTexts(path)) byId.set(createHash("sha256").update(text).digest("hex").slice(0, 32), text);
  }
  return [...byId.entries()]
    .map(([id, text]) => ({ id, text }))
    .sort((a, b) => (a.id < b.id ? -1 : 1))
    .slice(0, count);
}

function* sourceTexts(folder: string): Generator<string> {
  for (const name of globSync(SOURCE_FILES, { cwd: folder })) {
    const path = join(folder, name);
    const status = statSync(path);
    if (status.isFile() && status.size > 0 && status.size <= LARGEST_BYTES) yield readFileSync(path, "utf8");
  }
}

function* jsonlTexts(path: string): Generator<string> {
  const bytes = readFileSync(path);
  for (const line of (path.endsWith(".gz") ? gunzipSync(bytes) : bytes).toString().split("\n")) {
    if (line === "") continue;
    const { text, content } = JSON.parse(line) as { text?: string; content?: string };
    yield text ?? content!;
  }
}
