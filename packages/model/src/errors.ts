import { StageError } from "@diffucoder/lineage";

export class ModelError extends StageError {
  constructor(code: "WrongConfig" | "WrongParameters" | "WrongTokenizer" | "PromptTooLong" | "WrongShape" | "WrongOptions" | "NonFiniteLogits", message: string) {
    super({ code, message, retryable: false });
  }
}
