import { stageWorkflow } from "./stage.ts";

export { pipelineWorkflow } from "./pipeline.ts";

// One workflow type for each stage, so that they can be told apart, listed and moved to workers of their own.
export {
  stageWorkflow as corpusWorkflow,
  stageWorkflow as tokenizeWorkflow,
  stageWorkflow as pretrainingWorkflow,
  stageWorkflow as annealingWorkflow,
  stageWorkflow as instructionTuningWorkflow,
  stageWorkflow as coupledGrpoWorkflow,
  stageWorkflow as evaluationWorkflow,
  stageWorkflow as huggingFaceWorkflow,
};

// Temporal calls the default export for types without a name here: stages of other modules.
export default stageWorkflow;
