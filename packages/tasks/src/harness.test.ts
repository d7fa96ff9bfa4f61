import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { temporaryFolder } from "../test/temporary-file.ts";
import { harnessDigest } from "./harness.ts";

test("a harness is the same until its code, Python or packages are others", async () => {
  const digest = await harnessDigest();
  expect(digest).toMatch(/^[0-9a-f]{64}$/);
  expect(await harnessDigest()).toBe(digest);
  const packages = await temporaryFolder();
  await mkdir(join(packages, "numpy-1.26.4.dist-info"));
  const withNumpy = await harnessDigest(packages);
  expect(withNumpy).not.toBe(digest);
  await mkdir(join(packages, "six-1.16.0.dist-info"));
  expect(await harnessDigest(packages)).not.toBe(withNumpy);
  await expect(harnessDigest(join(packages, "nothing"))).rejects.toMatchObject({ code: "PackagesMissing" });
});
