import { execFile } from "node:child_process";
import { appendFile, cp, mkdir, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { temporaryFolder } from "../test/temporary-file.ts";
import { harnessDigest } from "./harness.ts";

test("a harness is the same until its packages are others", async () => {
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

test("a harness is another one when any of its Python, or its code here or in the sandbox, is", async () => {
  const root = await copyOfSources();
  const change = async (path: string, from: string, to: string) => {
    const text = await readFile(join(root, path), "utf8");
    expect(text).toContain(from);
    await writeFile(join(root, path), text.replace(from, to));
  };
  const python = await pythonFiles(root);
  expect(python.length).toBeGreaterThan(10);
  const changes: (() => Promise<void>)[] = [
    ...python.map((path) => () => appendFile(path, "\n")),
    () => change("packages/tasks/src/mbpp.ts", "cpuSeconds: 10", "cpuSeconds: 11"),
    () => change("packages/sandbox/src/verdict.ts", "processes: 16", "processes: 17"),
  ];
  const digests = [await digestIn(root)];
  for (const apply of changes) {
    await apply();
    digests.push(await digestIn(root));
  }
  expect(new Set(digests).size).toBe(digests.length);
  await change("packages/tasks/src/mbpp.ts", "/** ", "/** Comments do not count. ");
  expect(await digestIn(root)).toBe(digests.at(-1));
}, 60_000);

/** The workspace's packages that a harness reaches, beside links to everything installed. */
async function copyOfSources(): Promise<string> {
  const workspace = join(import.meta.dirname, "../../..");
  const root = await temporaryFolder();
  await mkdir(join(root, "node_modules/@diffucoder"), { recursive: true });
  for (const name of await readdir(join(workspace, "node_modules"))) {
    if (name !== "@diffucoder") await symlink(join(workspace, "node_modules", name), join(root, "node_modules", name));
  }
  for (const name of ["tasks", "sandbox", "lineage", "random", "formats"]) {
    const [from, to] = [join(workspace, "packages", name), join(root, "packages", name)];
    await cp(join(from, "src"), join(to, "src"), { recursive: true });
    await cp(join(from, "package.json"), join(to, "package.json"));
    await symlink(to, join(root, "node_modules/@diffucoder", name));
  }
  return root;
}

async function pythonFiles(root: string): Promise<string[]> {
  const found = await Promise.all(["packages/tasks/src", "packages/sandbox/src"].map((folder) => readdir(join(root, folder), { recursive: true, withFileTypes: true })));
  return found.flat().filter(({ name }) => name.endsWith(".py")).map(({ parentPath, name }) => join(parentPath, name));
}

async function digestIn(root: string): Promise<string> {
  const script = `import { harnessDigest } from "./packages/tasks/src/harness.ts"; console.log(await harnessDigest())`;
  const { stdout } = await promisify(execFile)(process.execPath, ["--conditions=@diffucoder/source", "--input-type=module", "--eval", script], { cwd: root });
  return stdout.trim();
}
