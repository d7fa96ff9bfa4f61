import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { newStore } from "../test/test-stage.ts";
import { temporaryFolder } from "../test/temporary.ts";
import { openStore } from "./store.ts";

test("openStore makes the folder, and opens what is there", async () => {
  const root = join(temporaryFolder(), "deep", "store");
  const store = await openStore(root);
  expect(store.root).toBe(root);
  expect((await stat(root)).isDirectory()).toBe(true);
  const { sha256: digest } = await store.blobs.putBytes(Buffer.from("x"));
  await store.names.assign("x@1", { kind: "report", digest });
  const again = await openStore(root);
  expect(await again.blobs.stat(digest)).toBe(1);
  expect(await again.names.resolve("x@1")).toEqual({ kind: "report", digest });
  expect((await readdir(root)).sort()).toEqual(["blobs", "names"]);
});

test("openStore passes the expiry of leases on", async () => {
  const store = await newStore(500);
  const lease = (await store.leases.acquire("key", Date.now))!;
  const next = await store.leases.acquire("key", () => Date.now() + 1000);
  expect(next?.number).toBe(2);
  await lease.release();
  await next!.release();
});
