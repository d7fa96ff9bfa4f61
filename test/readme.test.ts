// What READMEs name is there, and the plan that the root's shows.
import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { Project, ROOT } from "./support/project.ts";

const filesOf = (folder: string, pattern: string) => globSync(pattern, { cwd: join(ROOT, folder), exclude: ["**/node_modules", "**/dist", "shared"] });
const readmes = filesOf("", "**/README.md").sort();
const read = (readme: string): string => readFileSync(join(ROOT, readme), "utf8");

test.each(readmes)("source files and links of %s", (readme) => {
  const text = read(readme).replaceAll(/^```[^]*?^```/gm, "");
  const sources = text.matchAll(/`([\w./-]+\.ts)`/g);
  const links = text.matchAll(/\]\((?!https?:)([^)#\s]+)/g);
  const isBelow = (path: string) => !path.includes("/") && filesOf(dirname(readme), `**/${path}`).length > 0;
  const isThere = (path: string) => [dirname(readme), "", "packages"].some((folder) => existsSync(join(ROOT, folder, path))) || isBelow(path);
  expect([...sources, ...links].map(([, path]) => path!).filter((path) => !isThere(path))).toEqual([]);
});

test("the tree of the root's README, and the files in its reading order", () => {
  const text = read("README.md");
  const [, tree] = /## What there is\s+```\n([^]*?)```/.exec(text)!;
  const folders = tree!.split("\n").flatMap((line) => [...line.matchAll(/(?<=^|\s)([\w-]+)\/(?=\s|$)/g)].map(([, name]) => (line.startsWith(" ") ? `packages/${name}` : name!)));
  expect(folders.length).toBeGreaterThan(20);
  expect(folders.filter((folder) => !existsSync(join(ROOT, folder)))).toEqual([]);
  const [, order] = /read in this order: ([^]*?)\n\n/.exec(text)!;
  expect(order!.match(/`[^`]+\.ts`/g)!.length).toBeGreaterThan(10);
});

test("the plan in the root's README is what the command prints", async () => {
  const project = new Project();
  const { code, stdout } = await project.run("run", "pipelines/diffucoder-7b.yaml", "--plan");
  await project.close();
  expect(code).toBe(0);
  const [plan] = /^plan of diffucoder-7b[^]*?```/m.exec(read("README.md"))!;
  const costs = (text: string) => text.split("\n").filter((line) => /^(pretraining|annealing|instruction-tuning|coupled-grpo|evaluation|together) /.test(line)); // whatever data are there
  expect(costs(plan)).toHaveLength(6);
  expect(costs(stdout)).toEqual(costs(plan));
});
