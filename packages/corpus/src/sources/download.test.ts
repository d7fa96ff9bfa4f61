import { mkdir, readFile, readdir, stat, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { sha256 } from "@diffucoder/lineage";
import { afterEach, expect, onTestFinished, test, vi } from "vitest";
import { temporaryDirectory } from "../../test/temporary-directory.ts";
import { fetchPinned } from "./download.ts";

afterEach(() => {
  vi.unstubAllEnvs();
});

const CONTENT = Buffer.from(Array.from({ length: 5000 }, (_, i) => `line ${i}\n`).join(""));
const DIGEST = sha256(CONTENT);

async function serve(answer: (request: IncomingMessage, response: ServerResponse) => void) {
  const cache = await temporaryDirectory();
  vi.stubEnv("DIFFUCODER_CACHE", cache);
  const ranges: (string | undefined)[] = [];
  const server = createServer((request, response) => {
    ranges.push(request.headers.range);
    answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close().closeAllConnections());
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/file.parquet`, folder: join(cache, "downloads"), ranges };
}

/** As a server that knows ranges. */
function sendRange(request: IncomingMessage, response: ServerResponse): void {
  const start = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "bytes=0-")![1]);
  if (start >= CONTENT.length) return void response.writeHead(416).end();
  response.writeHead(start > 0 ? 206 : 200).end(CONTENT.subarray(start));
}

test("a file is fetched once and kept under its digest", async () => {
  const { url, folder, ranges } = await serve(sendRange);
  const path = await fetchPinned("tiny", url, DIGEST);
  expect(path).toBe(join(folder, DIGEST));
  expect(await readFile(path)).toEqual(CONTENT);
  expect(await fetchPinned("tiny", url, DIGEST)).toBe(path);
  expect(ranges).toEqual([undefined]);
});

test("two that want a file at once fetch it once", async () => {
  const { url, ranges } = await serve(sendRange);
  const paths = await Promise.all([fetchPinned("one", url, DIGEST), fetchPinned("other", url, DIGEST)]);
  expect(paths[0]).toBe(paths[1]);
  expect(ranges).toEqual([undefined]);
});

test("a transfer that broke off may be tried again, and goes on where it stopped", async () => {
  let calls = 0;
  const { url, folder, ranges } = await serve((request, response) => {
    if (calls++ > 0) return sendRange(request, response);
    response.writeHead(200, { "content-length": CONTENT.length });
    response.write(CONTENT.subarray(0, 1000));
    const arrived = async () => (await stat(join(folder, `${DIGEST}.part`)).catch(() => ({ size: 0 }))).size > 0;
    void vi.waitUntil(arrived, { timeout: 20_000 }).then(() => response.destroy());
  });
  await expect(fetchPinned("tiny", url, DIGEST)).rejects.toMatchObject({ code: "SourceMissing", retryable: true });
  expect(await readdir(folder)).toEqual([`${DIGEST}.part`]); // nothing stands under the name
  const kept = (await readFile(join(folder, `${DIGEST}.part`))).length;
  expect(kept).toBeGreaterThan(0);
  expect(await readFile(await fetchPinned("tiny", url, DIGEST))).toEqual(CONTENT);
  expect(ranges[1]).toBe(`bytes=${kept}-`);
  expect(await readdir(folder)).toEqual([DIGEST]);
});

test.each([
  ["a server without ranges sends it all again", CONTENT.subarray(0, 99), (_: IncomingMessage, response: ServerResponse) => void response.end(CONTENT)],
  ["a transfer that ended without being told is whole", CONTENT, sendRange],
])("%s", async (_, part, answer) => {
  const { url, folder } = await serve(answer);
  await mkdir(folder);
  await writeFile(join(folder, `${DIGEST}.part`), part);
  expect(await readFile(await fetchPinned("tiny", url, DIGEST))).toEqual(CONTENT);
});

test("other bytes than those pinned are drift and are not kept", async () => {
  const { url, folder } = await serve((_, response) => void response.end("other"));
  await expect(fetchPinned("tiny", url, DIGEST)).rejects.toMatchObject({ code: "SourceDrift", details: { card: "tiny", subject: url, expected: `sha256 ${DIGEST}`, found: sha256("other") } });
  expect(await readdir(folder)).toEqual([]);
});

test("an address that answers nothing of use is missing, with what it says", async () => {
  const { url } = await serve((_, response) => void response.writeHead(404).end());
  await expect(fetchPinned("tiny", url, DIGEST)).rejects.toMatchObject({ code: "SourceMissing", retryable: true, message: expect.stringContaining(`expected a file at ${url}, found status 404`) as string });
  await expect(fetchPinned("tiny", "http://127.0.0.1:65531/x.parquet", DIGEST)).rejects.toMatchObject({ code: "SourceMissing", message: expect.stringContaining("ECONNREFUSED") as string });
});
