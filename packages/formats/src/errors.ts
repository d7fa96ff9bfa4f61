import { StageError } from "@diffucoder/lineage";

/** A file is not what its format promises. The message names the file, the place in it, what was expected and found. */
export class FormatError extends StageError {
  constructor(code: FormatErrorCode, file: string, problem: string, fix: string) {
    super({ code, message: `${file}: ${problem}. ${fix}`, retryable: false, details: { file, problem } });
  }
}

export type FormatErrorCode = "DocumentsCorrupt" | "ShardCorrupt" | "SafetensorsCorrupt" | "CheckpointCorrupt" | "MetricsCorrupt";
