import { mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { cacheFolder } from "./cache.js";
import { isThere, run, which } from "./command.js";
import { SetupError } from "./steps.js";

const VERSION = "1.5.1";
const cached = () => join(cacheFolder(), "bin", "temporal");

/** Temporal's command: the environment, the PATH, the cache, the official download, or built from source. */
export const temporal = {
  name: "Temporal",
  megabytes: 3600,
  after: [],
  check: async () => {
    const { TEMPORAL_CLI_PATH } = process.env;
    if (TEMPORAL_CLI_PATH) return (await isThere(TEMPORAL_CLI_PATH)) ? TEMPORAL_CLI_PATH : undefined;
    return (await which("temporal")) ?? ((await isThere(cached())) ? `v${VERSION}` : undefined);
  },
  run: async () => {
    const { TEMPORAL_CLI_PATH } = process.env;
    if (TEMPORAL_CLI_PATH) throw new SetupError(`TEMPORAL_CLI_PATH: expected an executable at ${TEMPORAL_CLI_PATH}, found none`, "unset TEMPORAL_CLI_PATH");
    await mkdir(join(cacheFolder(), "bin"), { recursive: true });
    const incoming = await mkdtemp(join(cacheFolder(), "bin", ".incoming-"));
    try {
      const how = (await download(incoming)) ?? (await build(incoming));
      await rename(join(incoming, "temporal"), cached());
      return how;
    } finally {
      await rm(incoming, { recursive: true, force: true });
    }
  },
};

async function download(folder) {
  const arch = { x64: "amd64", arm64: "arm64" }[process.arch];
  try {
    const response = await fetch(`https://temporal.download/cli/archive/v${VERSION}?platform=${process.platform}&arch=${arch}`, { signal: AbortSignal.timeout(60_000) });
    if (!response.ok) return undefined;
    const archive = join(folder, "temporal.tar.gz");
    await writeFile(archive, Buffer.from(await response.arrayBuffer()));
    await run("tar", ["-xzf", archive, "-C", folder, "temporal"]);
    await run(join(folder, "temporal"), ["--version"]);
    return `v${VERSION}, downloaded`;
  } catch {
    return undefined; // not reachable from here
  }
}

async function build(folder) {
  if ((await which("go")) === undefined) {
    throw new SetupError(
      `Temporal: expected its download or Go to build it, found neither`,
      `put the temporal executable on the PATH (https://docs.temporal.io/cli), or install Go 1.26`,
    );
  }
  console.log("  Temporal: no download to be had; building it takes about six minutes on two cores, once");
  await run("go", ["install", `github.com/temporalio/cli/cmd/temporal@v${VERSION}`], { env: { ...process.env, GOBIN: folder }, next: "npm run setup" });
  return `v${VERSION}, built`;
}
