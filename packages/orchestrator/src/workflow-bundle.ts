import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { bundleWorkflowCode, DefaultLogger } from "@temporalio/worker";
import { makeFolder } from "@diffucoder/lineage";
import { SOURCE_CONDITION, siblingModule } from "./source-mode.ts";

/** Path of the bundled workflow code, made once for each version of it: bundling takes a second or more. */
export async function workflowBundle(cache: string): Promise<string> {
  const workflowsPath = siblingModule("workflows/index");
  const path = join(cache, "workflow-bundles", `${digestOf(dirname(workflowsPath))}.js`);
  if (existsSync(path)) return path;
  const { code } = await bundleWorkflowCode({
    workflowsPath,
    logger: new DefaultLogger("ERROR"),
    webpackConfigHook: (config) => ({
      ...config,
      resolve: { ...config.resolve, conditionNames: [SOURCE_CONDITION, "import", "require", "node", "default"] },
    }),
  });
  makeFolder(dirname(path));
  const temporary = `${path}.${process.pid}`;
  writeFileSync(temporary, code);
  renameSync(temporary, path);
  return path;
}

/** Workflow files import only each other and the SDK. */
function digestOf(folder: string): string {
  const { version } = createRequire(import.meta.url)("@temporalio/worker/package.json") as { version: string };
  const hash = createHash("sha256").update(version);
  for (const name of readdirSync(folder).filter((file) => !file.includes(".test.")).sort()) {
    hash.update(`\n${name}\n`).update(readFileSync(join(folder, name)));
  }
  return hash.digest("hex").slice(0, 32);
}
