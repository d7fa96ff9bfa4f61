import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Binding } from "./native-backend.ts";
import { SAVED_MODEL_TAG, type Graph } from "./graph.ts";

/** Loads a graph into a session of its own; its number is what `runSavedModel` takes. */
export function loadSession(binding: Binding, graph: Graph): number {
  const directory = mkdtempSync(join(tmpdir(), "diffucoder-graph-"));
  try {
    graph.save(directory);
    return binding.loadSavedModel(directory, SAVED_MODEL_TAG);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
