import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { basename } from "node:path";
import { build, type Plugin } from "esbuild";
import { canonicalJson, sha256 } from "./json.ts";
import type { StageDefinition } from "./stage.ts";

export interface CodeIdentity {
  readonly digest: string;
  /** Exact versions of the external packages that the stage's code reaches, by name. */
  readonly packages: Readonly<Record<string, string>>;
}

const known = new Map<string, Promise<CodeIdentity>>();

/**
 * What a stage's code is: its minified bundle (no comments, white space or paths) with all workspace packages it
 * reaches, its other assets, and the installed versions of the external packages. Types and names may still count:
 * the minifier picks short names by how often letters occur.
 */
export function codeIdentity(definition: Pick<StageDefinition, "entry" | "assets">): Promise<CodeIdentity> {
  const assets = definition.assets ?? [];
  const key = [definition.entry, ...assets].join("\n");
  let identity = known.get(key);
  if (identity === undefined) {
    identity = computeIdentity(definition.entry, assets);
    known.set(key, identity);
    identity.catch(() => known.delete(key)); // it may have been the machine's fault
  }
  return identity;
}

async function computeIdentity(entry: string, assets: readonly string[]): Promise<CodeIdentity> {
  const packages: Record<string, string> = {};
  const result = await build({
    entryPoints: [entry],
    bundle: true,
    write: false,
    minify: true,
    platform: "node",
    format: "esm",
    target: "node24",
    conditions: ["@diffucoder/source"],
    legalComments: "none",
    logLevel: "silent",
    plugins: [recordExternals(packages)],
  });
  const assetDigests = await Promise.all(
    assets.map(async (path) => [basename(path), sha256(await readFile(path))] as const),
  );
  const digest = sha256(canonicalJson({ bundle: sha256(result.outputFiles[0]!.contents), assets: assetDigests, packages }));
  return { digest, packages };
}

/** Leaves external packages out of the bundle and notes their versions instead. */
function recordExternals(packages: Record<string, string>): Plugin {
  return {
    name: "record-externals",
    setup(bundler) {
      bundler.onResolve({ filter: /^[^./]/ }, ({ path, importer, kind }) => {
        if (kind === "entry-point" || path.startsWith("@diffucoder/")) return undefined;
        if (!path.startsWith("node:")) {
          const name = path.split("/").slice(0, path.startsWith("@") ? 2 : 1).join("/");
          packages[name] ??= installedVersion(name, importer);
        }
        return { path, external: true };
      });
    },
  };
}

function installedVersion(name: string, importer: string): string {
  const require = createRequire(importer);
  for (const folder of require.resolve.paths(name) ?? []) {
    try {
      return (require(`${folder}/${name}/package.json`) as { version: string }).version;
    } catch {
      // not in this folder; the next one up may have it
    }
  }
  return "builtin";
}
