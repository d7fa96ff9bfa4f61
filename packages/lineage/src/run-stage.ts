import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { ArtifactRef } from "./artifact-store.ts";
import { describeCommit, describeEnvironment, machineMemoryBytes, packageVersion } from "./environment.ts";
import { NondeterminismError, RepairFailed, StageCancelled, StageError, refuseFullDisk } from "./errors.ts";
import { canonicalJson, type JsonObject, type JsonValue } from "./json.ts";
import type { Lease } from "./lease.ts";
import type { Binding, RunFacts } from "./records.ts";
import type { NumericsProfile, Part, PartContext, StageContext, StageDefinition, StageProgress, StageRequest, StageResult } from "./stage.ts";
import { parseRequest, resolveStage, type ResolvedStage } from "./stage-key.ts";
import type { Store } from "./store.ts";

export interface RunStageOptions {
  readonly store: Store;
  readonly definition: StageDefinition;
  readonly request: StageRequest;
  readonly numerics: NumericsProfile;
  readonly signal: AbortSignal;
  readonly now: () => number;
  readonly onProgress?: (progress: StageProgress) => void;
  readonly log?: (line: string) => void;
  /** What parts of this run have cost before. */
  readonly parts?: PartsCost;
}

/** What the parts of a stage's work have cost together. */
export interface PartsCost extends PartCost {
  /** When the first began, on the clock of `now`. */
  readonly startedAt: number;
}

export interface PartCost {
  readonly cpuMs: number;
  readonly peakMemoryBytes: number;
}

export interface StageOutcome {
  readonly key: string;
  readonly cached: boolean;
  readonly outputs: Readonly<Record<string, ArtifactRef>>;
  readonly summary: JsonObject;
  readonly wallMs: number;
}

/**
 * Runs one stage, or finds that it has been run.
 *
 * Everything that is not the stage's own work happens here: the key, the cache, the lease that keeps a second attempt
 * out, the newest undamaged checkpoint, publishing under the fence, and the records. A run that meets another one at
 * the same key waits for it and takes its result.
 */
export async function runStage(options: RunStageOptions): Promise<StageOutcome> {
  const { store, definition, request, numerics, signal, now, log = () => {} } = options;
  const resolved = await resolveStage(definition, request, numerics.dtype);
  for (let waited = false; ; ) {
    const cached = await findCached(store, resolved.key, log);
    if (cached !== undefined) return outcomeOf(cached, true);
    const lease = await store.leases.acquire(resolved.key, now);
    if (lease !== undefined) return attempt(options, resolved, lease).finally(() => lease.release());
    if (!waited) log(`another attempt is at work on key ${resolved.key.slice(0, 12)}; waiting for it`);
    waited = true;
    options.onProgress?.({ step: 0, totalSteps: 1, unit: "stage", note: "waiting for another attempt" });
    await sleep(POLL_MS, undefined, { signal }).catch(() => {
      throw new StageCancelled(definition.name);
    });
  }
}

const POLL_MS = 500;

/** The binding of a key, if its outputs are all there in the right sizes. */
export async function findCached(store: Store, key: string, log: (line: string) => void = () => {}): Promise<Binding | undefined> {
  const binding = await store.records.binding(key);
  if (binding === undefined) return undefined;
  for (const [role, ref] of Object.entries(binding.outputs)) {
    const damage = await damageOf(store, ref);
    if (damage === undefined) continue;
    log(`output ${role} of key ${key.slice(0, 12)} is damaged (${damage}); running the stage again`);
    return undefined;
  }
  return binding;
}

async function damageOf(store: Store, ref: ArtifactRef): Promise<string | undefined> {
  try {
    const [damaged] = await store.artifacts.damagedSizes(ref);
    return damaged === undefined ? undefined : `${damaged.path}: expected ${damaged.expected}, found ${damaged.found}`;
  } catch (error) {
    if (error instanceof StageError) return error.message;
    throw error;
  }
}

async function attempt(options: RunStageOptions, resolved: ResolvedStage, lease: Lease): Promise<StageOutcome> {
  const { store, definition, numerics, now, log = () => {}, parts } = options;
  const { key, facts, request, code } = resolved;
  const finished = await findCached(store, key); // by another attempt, between the first look and this lease
  if (finished !== undefined) return outcomeOf(finished, true);
  const startedAt = parts?.startedAt ?? now();
  const startCpu = process.cpuUsage();
  const resumeFrom = await newestCheckpoint(store, key, numerics, log);
  const run: RunFacts = {
    key,
    facts,
    execution: request.execution as JsonValue,
    attempt: lease.number,
    numerics,
    packages: code.packages,
    packageVersion: await packageVersion(definition.entry),
    commit: await describeCommit(definition.entry),
    environment: describeEnvironment(),
    resumedFromStep: resumeFrom?.step ?? null,
  };
  await store.records.recordStart(key, run);
  const scratchDir = await scratchFolder(store, definition);
  const context: StageContext = {
    ...partContext(options, facts.sources, scratchDir),
    resumeFrom,
    saveCheckpoint: async (step, directory, meta) => {
      const ref = await store.artifacts.publish("checkpoint", directory, meta);
      await lease.check();
      await store.records.recordCheckpoint(key, { ref, step, attempt: lease.number });
      return ref;
    },
  };
  try {
    const result = await refuseFullDisk(scratchDir, () => definition.run(request, context));
    const outputs = await publishOutputs(store, definition, result);
    await lease.check();
    const own = costSince(startCpu);
    const cost = {
      startedAt: new Date(startedAt).toISOString(),
      wallMs: now() - startedAt,
      cpuMs: own.cpuMs + (parts?.cpuMs ?? 0),
      peakMemoryBytes: Math.max(own.peakMemoryBytes, parts?.peakMemoryBytes ?? 0),
    };
    const binding = await store.records.bind(key, { ...run, outputs, summary: result.summary, cost });
    await checkAgreement(store, binding, outputs, run);
    return outcomeOf(binding, false);
  } catch (error) {
    await recordFailure(store, key, lease.number, error);
    throw error;
  } finally {
    await rm(scratchDir, { recursive: true, force: true });
  }
}

function costSince(start: NodeJS.CpuUsage): PartCost {
  const { user, system } = process.cpuUsage(start);
  return { cpuMs: Math.round((user + system) / 1000), peakMemoryBytes: process.resourceUsage().maxRSS * 1024 };
}

async function scratchFolder(store: Store, { name }: StageDefinition): Promise<string> {
  const workFolder = join(store.root, "scratch");
  await mkdir(workFolder, { recursive: true });
  return mkdtemp(join(workFolder, `${name}-`));
}

function partContext({ store, numerics, signal, now, log = () => {}, onProgress = () => {} }: RunStageOptions, sources: PartContext["sources"], scratchDir: string): PartContext {
  const { artifacts, pieces } = store;
  return { artifacts, pieces, sources, scratchDir, signal, now, log, numerics, memoryBytes: machineMemoryBytes(), report: onProgress };
}

/**
 * Does one of the parts into which a stage divides its work. It leaves pieces and nothing else: no lease is taken, since
 * two processes that do the same part leave the same.
 *
 * @param options.sources of the stage key, so that no part reads all sources for it
 * @throws InvalidRecipe; DiskFull; what the stage throws
 */
export async function runPart(options: Omit<RunStageOptions, "parts"> & { readonly part: Part; readonly sources: PartContext["sources"] }): Promise<PartCost> {
  const { store, definition, part, sources } = options;
  const startCpu = process.cpuUsage();
  const scratchDir = await scratchFolder(store, definition);
  try {
    const request = parseRequest(definition, options.request);
    await refuseFullDisk(scratchDir, () => definition.parts!.run(request, part, partContext(options, sources, scratchDir)));
    return costSince(startCpu);
  } finally {
    await rm(scratchDir, { recursive: true, force: true });
  }
}

async function publishOutputs(store: Store, definition: StageDefinition, result: StageResult): Promise<Record<string, ArtifactRef>> {
  const declared = Object.keys(definition.outputs).sort().join();
  const found = Object.keys(result.outputs).sort().join();
  if (declared !== found) throw new TypeError(`stage ${definition.name}: expected outputs ${declared}, found ${found}`);
  const outputs: Record<string, ArtifactRef> = {};
  for (const [role, { kind, directory, meta }] of Object.entries(result.outputs)) {
    outputs[role] = await store.artifacts.publish(kind, directory, meta);
  }
  return outputs;
}

/** The first complete publish rules; other bytes from the same numerics profile are an alarm, from another one they are dropped. */
async function checkAgreement(store: Store, binding: Binding, outputs: Record<string, ArtifactRef>, run: RunFacts): Promise<void> {
  for (const [role, ref] of Object.entries(outputs)) {
    const first = binding.outputs[role]!;
    if (first.digest === ref.digest) continue;
    if (!isSameProfile(binding.numerics, run.numerics)) {
      if ((await damageOf(store, first)) === undefined) continue;
      const profiles = { madeUnder: { ...binding.numerics }, runUnder: { ...run.numerics } };
      throw new RepairFailed({ key: run.key, role, expected: first.digest, found: ref.digest, ...profiles });
    }
    await store.records.recordAlarm(run.key, run.attempt, { role, first: first.digest, second: ref.digest });
    throw new NondeterminismError(run.key, role, first.digest, ref.digest);
  }
}

/**
 * The newest checkpoint of a key that was made under this numerics profile and whose bytes are all in order; others are
 * named and passed over. Going on from another profile's would mix the bytes of two, and belong to neither.
 */
async function newestCheckpoint(store: Store, key: string, numerics: NumericsProfile, log: (line: string) => void) {
  for (const { ref, step, attempt } of await store.records.checkpoints(key)) {
    const madeUnder = (await store.records.start(key, attempt))?.numerics;
    if (madeUnder === undefined || !isSameProfile(madeUnder, numerics)) {
      log(`checkpoint at step ${step}: made under ${describeProfile(madeUnder)}, expected ${describeProfile(numerics)}, so that the bytes are those of one profile; trying an earlier one`);
      continue;
    }
    const [damaged] = await store.artifacts.verify(ref);
    if (damaged === undefined) return { ref, step };
    log(`checkpoint at step ${step}: ${damaged.path} is damaged (expected ${damaged.expected}, found ${damaged.found}); trying an earlier one`);
  }
  return undefined;
}

const describeProfile = (numerics: NumericsProfile | undefined): string => (numerics === undefined ? "an unknown numerics profile" : canonicalJson({ ...numerics }));

const isSameProfile = (a: NumericsProfile, b: NumericsProfile): boolean => describeProfile(a) === describeProfile(b);

async function recordFailure(store: Store, key: string, attempt: number, error: unknown): Promise<void> {
  const failure =
    error instanceof StageError
      ? { code: error.code, message: error.message, retryable: error.retryable, details: error.details }
      : { code: "Unexpected", message: String(error), retryable: true, details: {} };
  // On a full disk the failure itself cannot be written; the caller still gets it.
  await store.records.recordFailure(key, attempt, failure).catch(() => {});
}

function outcomeOf(binding: Binding, cached: boolean): StageOutcome {
  return { key: binding.key, cached, outputs: binding.outputs, summary: binding.summary, wallMs: binding.cost.wallMs };
}
