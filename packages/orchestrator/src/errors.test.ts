import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
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

test.each<[string, () => unknown, string]>([
  ["a file that is not there", () => readFileSync("/nowhere/x"), "/nowhere/x: expected a file that can be opened or made, found none (ENOENT). Correct the path, or what lies there."],
  ["a folder in its place", () => readdirSync("/dev/null"), "/dev/null: expected a folder that can be read, found a file where a folder was expected (ENOTDIR). Correct the path, or what lies there."],
  ["a use without words", () => readlinkSync("/dev/null/x"), "/dev/null/x: expected one for readlink, found a file where a folder was expected (ENOTDIR). Correct the path, or what lies there."],
])("%s is told without the system's jargon", (_, use, message) => {
  const facts = (() => {
    try {
      return use();
    } catch (error) {
      return failureFacts(error);
    }
  })();
  expect(facts).toEqual({ code: "FileUnusable", message, retryable: true, details: {} });
});

test("a program that is not there is one to be installed", () => {
  const { error } = spawnSync("no-such-program", []);
  expect(failureFacts(error)).toMatchObject({ code: "ProgramUnusable", message: "no-such-program: expected a program that can be started, found none (ENOENT). `diffucoder doctor` says what is missing." });
});

test("anything else may pass", () => {
  expect(failureFacts(new TypeError("x is not a function"))).toEqual({ code: "Unexpected", message: "x is not a function", retryable: true, details: {} });
  expect(failureFacts(undefined)).toMatchObject({ code: "Unexpected", message: "undefined" });
});
