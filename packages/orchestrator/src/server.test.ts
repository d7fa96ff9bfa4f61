import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { PortTaken, TemporalMissing } from "./errors.ts";
import { openHome } from "./home.ts";
import { findServer, findTemporal, serverStatus, serverUp } from "./server.ts";

const folder = mkdtempSync(join(tmpdir(), "server-"));
afterAll(() => rmSync(folder, { recursive: true }));

test("a demanded port that is taken is refused by name, with what helps", async () => {
  const other = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => other.once("listening", resolve));
  const { port } = other.address() as AddressInfo;
  const home = openHome({ env: { DIFFUCODER_HOME: join(folder, "taken") } });
  try {
    const start = serverUp(home, { PATH: process.env.PATH, HOME: process.env.HOME, DIFFUCODER_UI_PORT: String(port) });
    await expect(start).rejects.toThrow(PortTaken);
    await expect(start).rejects.toThrow(`port ${port} (DIFFUCODER_UI_PORT): expected it to be free`);
  } finally {
    other.close();
  }
  expect(await serverStatus(home, {})).toEqual({ kind: "embedded", isUp: false });
  expect(await findServer(home, {})).toBeUndefined();
});

test("without Temporal's executable the error says where it is looked for", () => {
  expect(() => findTemporal({ PATH: folder, DIFFUCODER_CACHE: folder })).toThrow(TemporalMissing);
  expect(() => findTemporal({ ...process.env, TEMPORAL_CLI_PATH: join(folder, "none") })).toThrow(TemporalMissing);
});

test("an address in the environment points elsewhere, and nothing is started", async () => {
  const home = openHome({ env: { DIFFUCODER_HOME: join(folder, "elsewhere") } });
  const env = { TEMPORAL_ADDRESS: "127.0.0.1:1", TEMPORAL_NAMESPACE: "team" };
  expect(await serverUp(home, env)).toMatchObject({ connection: { address: "127.0.0.1:1" }, namespace: "team" });
});

test("a home is found in the nearest workspace, and keeps one store id", () => {
  const root = openHome({ cwd: join(import.meta.dirname, "workflows"), env: { DIFFUCODER_HOME: join(folder, "home") } });
  expect(root.root).toBe(join(folder, "home"));
  mkdirSync(join(folder, "a/b"), { recursive: true });
  const home = openHome({ cwd: join(folder, "a/b"), env: {} });
  expect(home.root).toBe(join(folder, "a/b/.diffucoder"));
  expect(openHome({ cwd: join(folder, "a/b"), env: {} }).storeId).toBe(home.storeId);
});
