export { withFailingSandbox, withVariable } from "./failing-sandbox.ts";
export { failureOf } from "./failure.ts";
export { NUMERICS, TemporaryStore, openFilesOf, stageContext, type RunOptions } from "./temporary-store.ts";
export { taskTokenizer, tinyModel, tokenizerOf, type Vocabulary } from "./tiny-model.ts";
