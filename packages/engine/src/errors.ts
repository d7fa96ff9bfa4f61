/** A failure of the engine. `code` is stable; the message says what was expected, what was found, and what to do. */
export class EngineError extends Error {
  readonly code: EngineErrorCode;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: EngineErrorCode, message: string, details: Record<string, unknown> = {}, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = "EngineError";
    this.code = code;
    this.details = details;
  }
}

export type EngineErrorCode =
  | "BackendUnavailable"
  | "WrongSetting"
  | "HostReadWhileRecording"
  | "RandomnessWhileRecording"
  | "UntrackedTensor"
  | "UnsupportedAttribute"
  | "UnknownGraph"
  | "WrongFeed"
  | "WrongVariable"
  | "NotATrainGraph"
  | "UnsupportedDtype"
  | "Disposed";
