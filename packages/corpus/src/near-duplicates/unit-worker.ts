// A thread that does the units it is sent; see unit-pool.ts.
import { parentPort } from "node:worker_threads";
import type { UnitAnswer } from "./unit-pool.ts";
import { runUnit, type Unit } from "./units.ts";

parentPort!.on("message", (unit: Unit) => parentPort!.postMessage(answer(unit)));

function answer(unit: Unit): UnitAnswer {
  try {
    return { result: runUnit(unit) };
  } catch (error) {
    return { error };
  }
}
