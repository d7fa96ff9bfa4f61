import type { ArtifactRef } from "./artifact-store.ts";
import { StageError } from "./errors.ts";
import { sha256 } from "./json.ts";
import type { RecordStore } from "./record-store.ts";

/** The name points to other bytes already. */
export class NameDrift extends StageError {
  constructor(name: string, recorded: string, offered: string) {
    super({
      code: "NameDrift",
      message:
        `name ${name}: expected artifact ${recorded.slice(0, 12)} as recorded, found ${offered.slice(0, 12)}. ` +
        "Use a new version, or record a waiver with a reason.",
      retryable: false,
      details: { name, recorded, offered },
    });
  }
}

/** Human names (`name@version`) for artifacts, append-only: a name never moves without a recorded reason. */
export class NameStore {
  readonly #records: RecordStore;

  constructor(records: RecordStore) {
    this.#records = records;
  }

  /** @throws NameDrift when the name points elsewhere and no waiver is given */
  async assign(name: string, ref: ArtifactRef, waiver?: { readonly reason: string }): Promise<void> {
    const folder = sha256(name);
    const current = await this.resolve(name);
    if (current?.digest === ref.digest) return;
    if (current !== undefined && waiver === undefined) throw new NameDrift(name, current.digest, ref.digest);
    const version = (await this.#records.names(folder)).length;
    const record = { name, ref, waiver: waiver?.reason ?? null };
    if (!(await this.#records.putIfAbsent(folder, String(version).padStart(6, "0"), record))) await this.assign(name, ref, waiver);
  }

  async resolve(name: string): Promise<ArtifactRef | undefined> {
    const folder = sha256(name);
    const newest = (await this.#records.names(folder)).at(-1);
    return newest === undefined ? undefined : (await this.#records.get<{ ref: ArtifactRef }>(folder, newest))!.ref;
  }

  /** All names with what they point to now, sorted by name. */
  async list(): Promise<{ name: string; ref: ArtifactRef }[]> {
    const entries = await Promise.all(
      (await this.#records.folders()).map(async (folder) => {
        const newest = (await this.#records.names(folder)).at(-1);
        return newest === undefined ? undefined : this.#records.get<{ name: string; ref: ArtifactRef }>(folder, newest);
      }),
    );
    return entries
      .filter((entry) => entry !== undefined)
      .map(({ name, ref }) => ({ name, ref }))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  }
}
