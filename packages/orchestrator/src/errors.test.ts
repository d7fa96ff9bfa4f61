import { ArtifactMissing } from "@diffucoder/lineage";
import { expect, test } from "vitest";
import { failureFacts, RemoteFailure } from "./errors.ts";

test("typed failures keep their facts across processes", () => {
  const facts = failureFacts(new ArtifactMissing("0123456789abcdef", "a manifest"));
  expect(facts).toMatchObject({ code: "ArtifactMissing", retryable: false, details: { what: "a manifest" } });
  expect(failureFacts(new RemoteFailure(JSON.parse(JSON.stringify(facts))))).toEqual(facts);
});

test("a full disk is known wherever it shows", () => {
  const error = Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC", path: "/store/blob" });
  expect(failureFacts(error)).toMatchObject({ code: "DiskFull", retryable: false, details: { path: "/store/blob" } });
});

test("anything else may pass", () => {
  expect(failureFacts(new TypeError("x is not a function"))).toEqual({ code: "Unexpected", message: "x is not a function", retryable: true, details: {} });
  expect(failureFacts(undefined)).toMatchObject({ code: "Unexpected", message: "undefined" });
});
