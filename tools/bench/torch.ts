import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { cacheDirectory } from "@diffucoder/lineage";

export const TORCH = "2.15.0";

/** PyTorch in an environment of its own in the cache; it brings 3 GB of libraries along, used or not. */
export function installTorch(): string {
  const folder = join(cacheDirectory(), "peers", `torch-${TORCH}`);
  const executable = join(folder, "bin", "python");
  if (!existsSync(join(folder, "installed"))) {
    console.log(`installing PyTorch ${TORCH} into ${folder}, once`);
    execFileSync("python3", ["-m", "venv", folder], { stdio: "inherit" });
    execFileSync(executable, ["-m", "pip", "install", "--quiet", `torch==${TORCH}`, "numpy"], { stdio: "inherit" });
    execFileSync("touch", [join(folder, "installed")]);
  }
  return executable;
}
