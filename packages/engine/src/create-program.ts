import { loadBackend } from "./backend.ts";
import { EagerProgram } from "./eager-program.ts";
import { NativeProgram } from "./native-program.ts";
import type { Program, ProgramSpec } from "./program.ts";

/**
 * Builds a program on the backend of this process: recorded and replayed natively where libtensorflow is there,
 * eager elsewhere. Variables and moments begin as zeros.
 *
 * @throws EngineError when a graph reads on the host, draws at random or uses a tensor from outside
 */
export async function createProgram(spec: ProgramSpec): Promise<Program> {
  return (await loadBackend()) === "native" ? new NativeProgram(spec) : new EagerProgram(spec);
}
