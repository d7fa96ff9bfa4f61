import { PROTO } from "./graph.ts";
import { nativeKernelSources } from "./native-kernels.ts";

/** Files beside the TypeScript sources that results depend on, for a stage's `assets`. */
export const engineAssets: readonly string[] = [PROTO, ...nativeKernelSources];
