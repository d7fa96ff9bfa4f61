import { statSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { basename, resolve } from "node:path";
import { build, type Plugin } from "esbuild";
import { canonicalJson, sha256 } from "./json.ts";
import type { StageDefinition } from "./stage.ts";

export interface CodeIdentity {
  readonly digest: string;
  /** Exact versions of the external packages that the stage's code reaches, by name. */
  readonly packages: Readonly<Record<string, string>>;
}

interface Known {
  readonly identity: CodeIdentity;
  readonly files: readonly string[];
  /** When reading them began, in ms since 1970. */
  readonly readAtMs: number;
}

const known = new Map<string, Promise<Known>>();

/**
 * What a stage's code is: its minified bundle (no comments, white space or paths) with all workspace packages it
 * reaches, its other assets, and the installed versions of the external packages. Types and names may still count:
 * the minifier picks short names by how often letters occur.
 *
 * It is of the files as they are now, also in a process that loaded them earlier, and computed again only once one has changed.
 */
export async function codeIdentity({ entry, assets = [] }: Pick<StageDefinition, "entry" | "assets">): Promise<CodeIdentity> {
  const key = [entry, ...assets].join("\n");
  const earlier = known.get(key);
  if (earlier !== undefined && isCurrent(await earlier)) return (await earlier).identity;
  const computing = computeIdentity(entry, assets);
  known.set(key, computing);
  computing.catch(() => known.delete(key)); // it may have been the machine's fault
  return (await computing).identity;
}

/** Whether no file has changed since it was read: no program can set the time of the last change, as it can that of the last writing. */
const isCurrent = ({ files, readAtMs }: Known): boolean => files.every((path) => (statSync(path, { throwIfNoEntry: false })?.ctimeMs ?? Infinity) < readAtMs - CLOCK_GRAIN_MS);

/** By how much a file system's clock may lag behind the process's. */
const CLOCK_GRAIN_MS = 20;

async function computeIdentity(entry: string, assets: readonly string[]): Promise<Known> {
  const readAtMs = Date.now();
  const packages: Record<string, string> = {};
  const result = await build({
    entryPoints: [entry],
    bundle: true,
    write: false,
    minify: true,
    metafile: true,
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
  const files = [...Object.keys(result.metafile.inputs).map((path) => resolve(path)), ...assets];
  return { identity: { digest, packages }, files, readAtMs };
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
