// `node tools/wasm/compile.ts`: compiles each .wat source to a module that carries the bytes as text, so that neither a
// compiler nor a file to be found is needed at run time. A test compares the two.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import wabt from "wabt";

const ROOT = join(import.meta.dirname, "..", "..");

/** Sources, each beside the module made of it. */
export const WAT_SOURCES: readonly string[] = ["packages/corpus/src/near-duplicates/minhash.wat"];

/** @returns path and text of the module made of a source */
export async function compileWat(source: string): Promise<{ readonly path: string; readonly text: string }> {
  const { parseWat } = await wabt();
  const module = parseWat(source, readFileSync(join(ROOT, source), "utf8"), { simd: true, bulk_memory: true });
  const lines = Buffer.from(module.toBinary({}).buffer).toString("base64").match(/.{1,120}/g)!;
  module.destroy();
  const name = source.split("/").at(-1)!;
  const text = [
    `// Compiled from ${name} by \`node tools/wasm/compile.ts\`.`,
    `export const ${name.replace(/\.wat$/, "").replaceAll("-", "_").toUpperCase()}_WASM =`,
    `  ${lines.map((line) => `"${line}"`).join(" +\n  ")};`,
    "",
  ].join("\n");
  return { path: join(ROOT, source.replace(/\.wat$/, "-wasm.ts")), text };
}

if (import.meta.main) {
  for (const source of WAT_SOURCES) {
    const { path, text } = await compileWat(source);
    writeFileSync(path, text);
  }
}
