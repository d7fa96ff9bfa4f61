import { join } from "node:path";
import { canonicalJson, codeIdentity, sha256 } from "@diffucoder/lineage";
import { sandboxAssets, sandboxVersions } from "@diffucoder/sandbox";
import { packagesDigest } from "./python-packages.ts";
import { taskAssets } from "./score.ts";

/**
 * Digest of what verdicts depend on besides benchmark, task and program: the code that runs and judges programs, the
 * Python they run on, and the packages they may import.
 *
 * @param packages folder of Python packages, as in `SandboxOptions`
 * @throws TasksError `PackagesMissing`; SandboxUnavailable
 */
export async function harnessDigest(packages?: string): Promise<string> {
  const { digest: code } = await codeIdentity({ entry: join(import.meta.dirname, ENTRY), assets: [...sandboxAssets, ...taskAssets] });
  const { python } = await sandboxVersions();
  return sha256(canonicalJson({ code, python, packages: packages === undefined ? null : await packagesDigest(packages) }));
}

/** What reads benchmarks, makes a sandbox and scores samples; in TypeScript, or built. */
const ENTRY = import.meta.filename.endsWith(".ts") ? "harness-code.ts" : "harness-code.js";
