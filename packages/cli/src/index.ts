export { createCommand } from "./command.ts";
export { EXIT, type ExitCode } from "./exit-codes.ts";
