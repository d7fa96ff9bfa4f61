// Lays what a package reads at run time beside its compiled code: node tools/build/copy-assets.ts PACKAGE
import { copyFileSync, mkdirSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";

const ASSET = /\.(py|proto)$/;

const root = process.argv[2]!;
for (const name of readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" })) {
  if (!ASSET.test(name)) continue;
  const target = join(root, "dist", name);
  mkdirSync(dirname(target), { recursive: true });
  copyFileSync(join(root, "src", name), target);
}
