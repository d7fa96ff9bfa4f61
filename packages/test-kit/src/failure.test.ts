import { StageCancelled } from "@diffucoder/lineage";
import { expect, test } from "vitest";
import { failureOf } from "./failure.ts";

test("a failure is handed on, and its absence is one", async () => {
  expect(await failureOf(Promise.reject(new StageCancelled("test")))).toMatchObject({ code: "StageCancelled" });
  await expect(failureOf(Promise.resolve({ cached: true }))).rejects.toThrow('expected a failure, found {"cached":true}');
});
