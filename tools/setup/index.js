// Brings a fresh checkout to where everything runs. Plain JavaScript without dependencies: it installs them.
import { cacheFolder, withLock } from "./cache.js";
import { gpu } from "./gpu.js";
import { libtensorflow } from "./libtensorflow.js";
import { nativeAddon } from "./native-addon.js";
import { nativeKernels } from "./native-kernels.js";
import { nodePackages } from "./node-packages.js";
import { sandboxTools } from "./sandbox-tools.js";
import { SetupError, runSteps } from "./steps.js";
import { temporal } from "./temporal.js";

// An addon needs its packages and its library, the kernels need both; everything else goes side by side.
const steps = [nodePackages, libtensorflow, nativeAddon, nativeKernels, gpu, temporal, sandboxTools];

try {
  await withLock(() => runSteps(steps));
} catch (error) {
  if (!(error instanceof SetupError)) throw error;
  console.error(`\nset-up failed: ${error.message}`);
  if (error.next) console.error(`  try: ${error.next}`);
  console.error(`  cache: ${cacheFolder()}`);
  process.exitCode = 1;
}
