import { StageError } from "@diffucoder/lineage";

export class ModelError extends StageError {
  constructor(code: "WrongConfig" | "WrongParameters" | "WrongTokenizer" | "PromptTooLong" | "WrongShape", message: string) {
    super({ code, message, retryable: false });
  }
}
