import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { packagesDigest } from "./python-packages.ts";

test("packages are told apart by names and versions, whatever else the folder holds", async () => {
  const folder = await mkdtemp(join(tmpdir(), "packages-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  await expect(packagesDigest(folder)).rejects.toMatchObject({ code: "PackagesMissing", message: expect.stringContaining("expected packages of `pip install --target`, found no record of one") as string });
  await mkdir(join(folder, "numpy-1.26.4.dist-info"));
  const one = await packagesDigest(folder);
  await writeFile(join(folder, "six.py"), "");
  expect(await packagesDigest(folder)).toBe(one);
  await mkdir(join(folder, "pandas-2.0.3.dist-info"));
  expect(await packagesDigest(folder)).not.toBe(one);
  await expect(packagesDigest(join(folder, "nothing"))).rejects.toMatchObject({ code: "PackagesMissing", message: expect.stringContaining("found none (ENOENT)") as string });
});
