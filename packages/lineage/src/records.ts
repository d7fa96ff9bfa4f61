import type { ArtifactRef } from "./artifact-store.ts";
import type { JsonObject, JsonValue } from "./json.ts";
import type { RecordStore } from "./record-store.ts";
import type { NumericsProfile } from "./stage.ts";
import type { KeyFacts } from "./stage-key.ts";

/** What one attempt cost. */
export interface Cost {
  readonly startedAt: string;
  readonly wallMs: number;
  readonly cpuMs: number;
  readonly peakMemoryBytes: number;
}

/** Who ran, with what, on what: enough to run it again and to explain a difference. */
export interface RunFacts {
  readonly key: string;
  readonly facts: KeyFacts;
  readonly execution: JsonValue;
  readonly attempt: number;
  readonly numerics: NumericsProfile;
  readonly packages: Readonly<Record<string, string>>;
  readonly packageVersion: string;
  readonly commit: string | null;
  readonly environment: Readonly<Record<string, string>>;
  readonly resumedFromStep: number | null;
}

/** A person's word that one result stands under two keys, whose code differs. */
export interface Acceptance {
  /** The other key. */
  readonly key: string;
  readonly reason: string;
  /** Who said so: user and host. */
  readonly by: string;
  readonly at: string;
}

/** Binds a stage key to its outputs: the one record that makes a later run a cache hit. */
export interface Binding extends RunFacts {
  readonly outputs: Readonly<Record<string, ArtifactRef>>;
  readonly summary: JsonObject;
  readonly cost: Cost;
  /** Set when no run of this key's code made the outputs: a run of the key named here did, and all but key and facts is of that run. */
  readonly accepted?: Acceptance;
}

export interface CheckpointRecord {
  readonly ref: ArtifactRef;
  readonly step: number;
  readonly attempt: number;
}

/** The records of stage keys. All are immutable; nothing else is needed to answer a question about lineage. */
export class StageRecords {
  readonly #records: RecordStore;

  constructor(records: RecordStore) {
    this.#records = records;
  }

  binding(key: string): Promise<Binding | undefined> {
    return this.#records.get<Binding>(key, "binding");
  }

  /** Binds a key; the first complete publish wins and is returned. */
  async bind(key: string, binding: Binding): Promise<Binding> {
    await this.#records.putIfAbsent(key, "binding", binding);
    return (await this.binding(key))!;
  }

  async recordStart(key: string, run: RunFacts): Promise<void> {
    await this.#records.putIfAbsent(key, startName(run.attempt), run);
  }

  /** What an attempt began with. */
  start(key: string, attempt: number): Promise<RunFacts | undefined> {
    return this.#records.get<RunFacts>(key, startName(attempt));
  }

  async recordFailure(key: string, attempt: number, failure: JsonObject): Promise<void> {
    await this.#records.putIfAbsent(key, `attempt-${numbered(attempt)}-failed`, failure);
  }

  async recordAlarm(key: string, attempt: number, alarm: JsonObject): Promise<void> {
    await this.#records.putIfAbsent(key, `attempt-${numbered(attempt)}-alarm`, alarm);
  }

  async recordCheckpoint(key: string, checkpoint: CheckpointRecord): Promise<void> {
    await this.#records.putIfAbsent(key, `checkpoint-${String(checkpoint.step).padStart(9, "0")}-${numbered(checkpoint.attempt)}`, checkpoint);
  }

  /** Newest first. */
  async checkpoints(key: string): Promise<CheckpointRecord[]> {
    const names = (await this.#records.names(key)).filter((name) => name.startsWith("checkpoint-")).reverse();
    return Promise.all(names.map(async (name) => (await this.#records.get<CheckpointRecord>(key, name))!));
  }

  async keys(): Promise<string[]> {
    return (await this.#records.folders()).filter((name) => /^[0-9a-f]{64}$/.test(name));
  }

  async bindings(): Promise<Binding[]> {
    const bindings = await Promise.all((await this.keys()).map((key) => this.binding(key)));
    return bindings.filter((binding) => binding !== undefined);
  }

  /** The newest start record of each key. */
  async starts(): Promise<RunFacts[]> {
    const starts = await Promise.all(
      (await this.keys()).map(async (key) => {
        const name = (await this.#records.names(key)).findLast((record) => record.endsWith("-started"));
        return name === undefined ? undefined : this.#records.get<RunFacts>(key, name);
      }),
    );
    return starts.filter((start) => start !== undefined);
  }
}

const startName = (attempt: number): string => `attempt-${numbered(attempt)}-started`;
const numbered = (attempt: number): string => String(attempt).padStart(6, "0");
