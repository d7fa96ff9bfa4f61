import { StageError } from "@diffucoder/lineage";

export class TokenizerError extends StageError {
  constructor(code: "TokenizerCorrupt" | "VocabularyTooSmall" | "UnknownToken", message: string) {
    super({ code, message: code === "TokenizerCorrupt" ? `${message}. Use the file that came with the model.` : message, retryable: false });
  }
}
