// Does a part of a corpus in a process of its own; the first argument says which.
import { openStore, runPart, type Part, type StageRequest } from "@diffucoder/lineage";
import { corpusStage } from "../src/index.ts";
import { PORTABLE } from "./run-stages.ts";

/** All that the process needs to know, as JSON. */
export interface PartAssignment {
  readonly store: string;
  readonly request: StageRequest;
  readonly part: Part;
  readonly sources: Readonly<Record<string, string>>;
}

const { store, ...rest } = JSON.parse(process.argv[2]!) as PartAssignment;
await runPart({ ...rest, store: await openStore(store), definition: corpusStage, numerics: PORTABLE, signal: new AbortController().signal, now: Date.now });
