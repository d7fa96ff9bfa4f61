import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { DefaultLogger, Runtime, Worker } from "@temporalio/worker";
import { DeterminismViolationError } from "@temporalio/workflow";
import { beforeAll, expect, test } from "vitest";
import { cacheDirectory } from "@diffucoder/lineage";
import { workflowBundle } from "../src/workflow-bundle.ts";

const root = join(import.meta.dirname, "../src/testing/histories");
const histories = readdirSync(root, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".json"));

let codePath: string;
beforeAll(async () => {
  Runtime.install({ logger: new DefaultLogger("ERROR") });
  codePath = await workflowBundle(cacheDirectory());
});

interface History {
  readonly events: readonly [{ readonly workflowExecutionStartedEventAttributes: { readonly workflowId: string } }];
}

const read = (name: string): string => readFileSync(join(root, name), "utf8");

async function replay(text: string): Promise<void> {
  const history = JSON.parse(text) as History;
  const { workflowId } = history.events[0].workflowExecutionStartedEventAttributes;
  await Worker.runReplayHistory({ workflowBundle: { codePath } }, history, workflowId);
}

test("there are histories to replay", () => expect(histories.length).toBeGreaterThanOrEqual(11));

test.each(histories)("recorded history %s is still what the workflows do", async (name) => {
  await replay(read(name));
});

test("a history of other workflows is noticed", async () => {
  const changed = read("0.1.0/cached.json").replaceAll("resolveNumerics", "resolveSomethingElse");
  await expect(replay(changed)).rejects.toBeInstanceOf(DeterminismViolationError);
});
