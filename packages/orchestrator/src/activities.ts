import { openStore, findCached, InvalidRecipe, resolveStage, StageCancelled, type ArtifactRef, type PartCost, type Store } from "@diffucoder/lineage";
import { ApplicationFailure, Context } from "@temporalio/activity";
import { join } from "node:path";
import { mkdirSync } from "node:fs";
import { failureFacts, NumericsUnsupported, type FailureFacts } from "./errors.ts";
import { artifactName, type Home } from "./home.ts";
import { writeState } from "./process-state.ts";
import { parseSettings } from "./stage-settings.ts";
import type { StageRegistry } from "./stages.ts";
import { superviseStage } from "./supervise-stage.ts";
import type { ControlActivities, NumericsActivities, PartJob, StageActivities, StageJob, StageResult } from "./workflows/contract.ts";

export interface ActivitySetting {
  readonly home: Home;
  readonly registry: StageRegistry;
  /** Called as stage processes start and end. */
  readonly onLoad: (running: number) => void;
}

/** The activities of each task queue. */
export async function createActivities(setting: ActivitySetting) {
  const supervise = stageRunner(setting);
  const stage: StageActivities = {
    runStage: async (job) => (await supervise(job)) as StageResult,
    runPart: async ({ job, ...part }) => (await supervise(job, part)) as PartCost,
  };
  return {
    control: short(controlActivities(setting, await openStore(setting.home.store))),
    cpu: stage,
    train: stage,
    numerics: short(numericsActivities(setting)),
  };
}

function numericsActivities({ registry }: ActivitySetting): NumericsActivities {
  return {
    async resolveNumerics(policy) {
      const preferred = await registry.preferredDtype();
      if (policy === "bf16" && preferred !== "bf16") throw new NumericsUnsupported(policy, preferred);
      return policy === "auto" ? preferred : policy;
    },
  };
}

function controlActivities({ home, registry }: ActivitySetting, store: Store): ControlActivities {
  return {
    async prepareStage(job) {
      const definition = await registry.stage(job.uses);
      const { key, facts, request } = await resolveStage(definition, job, job.dtype);
      const binding = await findCached(store, key);
      const count = definition.parts?.count(request.execution) ?? 1;
      if (binding === undefined) return count === 1 ? { key } : { key, parts: { count, sources: facts.sources } };
      return { key, result: { key, cached: true, outputs: binding.outputs, summary: binding.summary, wallMs: binding.cost.wallMs } };
    },
    async checkSettings(uses, settings) {
      return parseSettings(await registry.stage(uses), settings);
    },
    async checkArtifacts(stage, kinds, digests) {
      const refs: Record<string, ArtifactRef> = {};
      for (const [output, digest] of Object.entries(digests)) {
        const ref = { kind: kinds[output]!, digest };
        const { kind } = await store.artifacts.manifest(ref);
        if (kind !== ref.kind) throw new InvalidRecipe(`stage ${stage}, output ${output}`, [`expected a ${ref.kind} artifact, found ${kind}`]);
        refs[output] = ref;
      }
      return refs;
    },
    async recordStatus(status) {
      const folder = join(home.runs, status.runId);
      mkdirSync(folder, { recursive: true });
      for (const { id, outputs } of status.stages) {
        for (const [output, ref] of Object.entries(outputs)) await store.names.assign(artifactName(status.runId, id, output), ref);
      }
      writeState(join(folder, "status.json"), status);
    },
  };
}

function stageRunner({ home, onLoad }: ActivitySetting) {
  let running = 0;
  return async (job: StageJob, part?: Omit<PartJob, "job">): Promise<StageResult | PartCost> => {
    const context = Context.current();
    onLoad((running += 1));
    try {
      return await superviseStage({ home, job, ...(part === undefined ? {} : { part }), signal: context.cancellationSignal, onAlive: (progress) => context.heartbeat(progress) });
    } catch (error) {
      if (!(error instanceof StageCancelled)) throw acrossServer(failureFacts(error));
      if (context.cancellationDetails?.workerShutdown !== true) return await context.cancelled;
      throw acrossServer({ code: "WorkerStopped", message: `${error.message}, since its worker is to stop`, retryable: true, details: {} });
    } finally {
      onLoad((running -= 1));
    }
  };
}

/** Wraps short activities: a sign of life each second, typed failures kept. */
function short<T extends object>(activities: T): T {
  const wrapped = Object.entries(activities).map(([name, work]: [string, (...args: unknown[]) => Promise<unknown>]) => {
    const activity = async (...args: unknown[]): Promise<unknown> => {
      const context = Context.current();
      const beat = setInterval(() => context.heartbeat(), 1000);
      try {
        return await work(...args);
      } catch (error) {
        throw acrossServer(failureFacts(error));
      } finally {
        clearInterval(beat);
      }
    };
    return [name, activity];
  });
  return Object.fromEntries(wrapped) as T;
}

function acrossServer(facts: FailureFacts): ApplicationFailure {
  return ApplicationFailure.create({ type: facts.code, message: facts.message, nonRetryable: !facts.retryable, details: [facts] });
}
