import { StageError } from "@diffucoder/lineage";

export class TokenizerError extends StageError {
  constructor(code: "TokenizerCorrupt" | "VocabularyTooSmall" | "UnknownToken", message: string) {
    super({ code, message, retryable: false });
  }
}
