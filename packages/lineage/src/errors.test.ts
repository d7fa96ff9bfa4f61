import { expect, test } from "vitest";
import { ArtifactMissing, describeSystemError, DiskFull, refuseFullDisk, StageCancelled, StageError } from "./errors.ts";

test("a StageError carries code, retryable, details and cause, and is named for its code", () => {
  const cause = new Error("why");
  const error = new StageError({ code: "Odd", message: "x: expected even, found odd", retryable: true, details: { x: 3 }, cause });
  expect(error).toBeInstanceOf(Error);
  expect(String(error)).toBe("Odd: x: expected even, found odd");
  expect(error).toMatchObject({ name: "Odd", code: "Odd", retryable: true, details: { x: 3 }, cause });
  const bare = new StageError({ code: "Odd", message: "m", retryable: false });
  expect(bare.details).toEqual({});
  expect("cause" in bare).toBe(false);
});

test("StageCancelled says after which step, when it is known", () => {
  expect(new StageCancelled("sum").message).toBe("stage sum: stopped on request");
  expect(new StageCancelled("sum", 0).message).toBe("stage sum: stopped on request after step 0");
});

test("ArtifactMissing shortens digests, not names", () => {
  expect(new ArtifactMissing("a".repeat(64), "a manifest").message).toMatch(/^artifact a{12}: expected a manifest in the store, found none\./);
  expect(new ArtifactMissing("a-long-name@1.0", "it").message).toMatch(/^artifact a-long-name@1\.0: /);
});

test.each(["ENOSPC", "EDQUOT"])("%s becomes DiskFull, with the path, the cause and the next step", async (code) => {
  const cause = Object.assign(new Error(code), { code });
  const failing = refuseFullDisk("/store", () => Promise.reject(cause));
  await expect(failing).rejects.toBeInstanceOf(DiskFull);
  await expect(failing).rejects.toMatchObject({
    code: "DiskFull",
    retryable: false,
    message: "/store: expected room to write, found a full disk. Free some space, then `diffucoder retry`.",
    details: { path: "/store" },
    cause,
  });
});

test("what is no full disk comes through refuseFullDisk as it is", async () => {
  const error = Object.assign(new Error("EACCES"), { code: "EACCES" });
  await expect(refuseFullDisk("/store", () => Promise.reject(error))).rejects.toBe(error);
  expect(await refuseFullDisk("/store", async () => 7)).toBe(7);
});

test("a system error is told in words, one without a code as it stands", () => {
  expect(describeSystemError(Object.assign(new Error("open x"), { code: "EACCES" }))).toBe("no permission (EACCES)");
  expect(describeSystemError(Object.assign(new Error("open x"), { code: "EIO" }))).toBe("EIO");
  expect(describeSystemError(new Error("odd"))).toBe("odd");
});
