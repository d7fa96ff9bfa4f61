import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";

const folder = mkdtempSync(join(tmpdir(), "diffucoder-setup-"));
afterAll(() => rmSync(folder, { recursive: true }));

const ROOT = join(import.meta.dirname, "..", "..");
const ENTRY = join(import.meta.dirname, "index.js");
const setUp = (environment: NodeJS.ProcessEnv = {}) => spawnSync(process.execPath, [ENTRY], { encoding: "utf8", env: { ...process.env, ...environment } });

test("where everything is there, nothing is done", () => {
  expect(setUp()).toMatchObject({ status: 0, stdout: expect.stringMatching(/^set-up: all there \(\d+ ms\)\n$/), stderr: "" });
});

test.each([
  ["TEMPORAL_CLI_PATH", /^\nset-up failed: TEMPORAL_CLI_PATH: expected an executable at \/not\/there, found none\n {2}try: unset TEMPORAL_CLI_PATH\n/],
  ["DIFFUCODER_LIBTENSORFLOW", /^\nset-up failed: DIFFUCODER_LIBTENSORFLOW: expected libtensorflow_cc\.so\.2 in \/not\/there, found none\n {2}try: unset DIFFUCODER_LIBTENSORFLOW\n/],
])("%s that leads nowhere is named, with what helps", (variable, message) => {
  const { status, stdout, stderr } = setUp({ [variable]: "/not/there" });
  expect(status).toBe(1);
  expect(stdout).toMatch(/needs \d+\.\d GB of disk, \d+\.\d GB free/);
  expect(stderr).toMatch(message);
});

test("a cache that cannot be is refused at once", () => {
  const { status, stderr } = setUp({ DIFFUCODER_CACHE: "/proc/none/cache" });
  expect(status).toBe(1);
  expect(stderr).toMatch(/^\nset-up failed: expected a folder for the cache, or a place to make one, found ENOENT at \/proc\/none\/cache\n {2}try: DIFFUCODER_CACHE=FOLDER npm run setup\n/);
});

test("tools that are missing are named with the one command that helps", () => {
  const nothing = join(folder, "path");
  mkdirSync(nothing);
  // Not root and without apt as far as the set-up can tell: nothing can be installed.
  const { status, stderr } = setUp({ PATH: nothing, TEMPORAL_CLI_PATH: process.execPath });
  expect(status).toBe(1);
  expect(stderr).toMatch(/set-up failed: sandbox tools: expected bwrap and python3 on the PATH, found one missing\n {2}try: sudo apt-get install -y bubblewrap python3\n/);
});

/** Runs a module's code against the set-up's own functions. */
function script(code: string, environment: NodeJS.ProcessEnv = {}): string {
  const file = join(folder, `script-${Math.random().toString(36).slice(2)}.mjs`);
  writeFileSync(file, code);
  const { stdout, stderr } = spawnSync(process.execPath, [file], { encoding: "utf8", env: { ...process.env, DIFFUCODER_CACHE: folder, ...environment } });
  return stdout + stderr;
}

const moduleAt = (name: string) => JSON.stringify(join(import.meta.dirname, name));
const [steps, cache] = [moduleAt("steps.js"), moduleAt("cache.js")];

test("steps run side by side, but after those they wait for; a failure is the set-up's", () => {
  const output = script(`
    import { runSteps, SetupError } from ${steps};
    const step = (name, after, work) => ({ name, megabytes: 1, after, check: async () => undefined, run: work });
    const events = [];
    const slow = (name, ms) => async () => { events.push("+" + name); await new Promise((r) => setTimeout(r, ms)); events.push("-" + name); return "made"; };
    await runSteps([step("a", [], slow("a", 100)), step("b", [], slow("b", 20)), step("c", ["a"], slow("c", 1))]);
    console.log(events.join());
    await runSteps([step("d", [], async () => { throw new SetupError("d: broken", "mend it"); }), step("e", ["d"], slow("e", 1))]).catch((error) => console.log(error.message + " " + error.next + " " + events.includes("+e")));
    await runSteps([{ name: "f", megabytes: 1, after: [], check: async () => "there" }]);
    await runSteps([{ ...step("g", [], slow("g", 1)), megabytes: 1e12 }]).catch((error) => console.log(error.message));
  `);
  expect(output).toContain("+a,+b,-b,-a,+c,-c\n");
  expect(output).toMatch(/ {2}a: made \(\d+\.\d s\)/);
  expect(output).toContain("d: broken mend it false\n");
  expect(output).toMatch(/set-up: all there \(\d+ ms\)/);
  expect(output).toMatch(/expected \d+\.\d GB of free disk, found \d+\.\d GB/);
});

test("what a step undoes is done again in the same run, and what it leaves alone is not", () => {
  const output = script(`
    import { existsSync, mkdirSync, rmSync } from "node:fs";
    import { join } from "node:path";
    import { runSteps } from ${steps};
    const at = (name) => join(${JSON.stringify(folder)}, "undone", name);
    const step = (name, after, work) => ({ name, megabytes: 1, after, check: async () => (existsSync(at(name)) ? "there" : undefined), run: async () => (work?.(), mkdirSync(at(name), { recursive: true }), "made") });
    for (const name of ["node_modules/addon", "kernels", "proof"]) mkdirSync(at(name), { recursive: true });
    const packages = step("packages", [], () => rmSync(at("node_modules"), { recursive: true }));
    await runSteps([packages, step("library", []), step("node_modules/addon", ["packages", "library"]), step("kernels", ["node_modules/addon"]), step("proof", ["library"])]);
    console.log(existsSync(at("node_modules/addon")));
    await runSteps([packages]);
  `);
  expect(output).toMatch(/^set-up: packages, library; needs 0\.0 GB/);
  expect(output).toMatch(/ {2}node_modules\/addon: made/);
  expect(output).not.toMatch(/ {2}(kernels|proof)/);
  expect(output).toMatch(/\ntrue\nset-up: all there/);
});

test("the lock of a dead set-up is taken over, that of a live one waited for", () => {
  const dead = spawnSync("true").pid;
  writeFileSync(join(folder, "setup.lock"), String(dead));
  expect(script(`import { withLock } from ${cache}; console.log(await withLock(async () => "mine"));`)).toBe("set-up: another one is at work; waiting for it\nmine\n");
  expect(existsSync(join(folder, "setup.lock"))).toBe(false);

  const other = spawnSync("sh", ["-c", "sleep 1 > /dev/null & echo $!"], { encoding: "utf8" }).stdout;
  writeFileSync(join(folder, "setup.lock"), other.trim());
  const start = Date.now();
  expect(script(`import { withLock } from ${cache}; console.log(await withLock(async () => "mine"));`)).toContain("waiting for it\nmine\n");
  expect(Date.now() - start).toBeGreaterThan(900);
});

describe("on a machine with an NVIDIA GPU", () => {
  /** A file or folder of a machine, under a root of its own. */
  const machineWith = (path: string): string => {
    const root = mkdtempSync(join(folder, "machine-"));
    mkdirSync(join(root, dirname(path)), { recursive: true });
    writeFileSync(join(root, path), "");
    return root;
  };
  const found = (root: string, path = folder) => script(`import { findGpu } from ${moduleAt("find-gpu.js")}; console.log(findGpu(${JSON.stringify(root)}));`, { PATH: path }).trim();

  test("it is found in the kernel driver's list, among the devices, or by nvidia-smi", () => {
    expect(found(machineWith("proc/driver/nvidia/gpus/0000:3b:00.0"))).toBe("the driver lists 0000:3b:00.0");
    expect(found(machineWith("dev/nvidia1"))).toBe("there is /dev/nvidia1");
    expect(found(machineWith("dev/nvidiactl"))).toBe("undefined"); // the driver without a GPU
    expect(found(folder)).toBe("undefined");

    const tool = dirname(join(machineWith("bin/nvidia-smi"), "bin/nvidia-smi"));
    const answer = (text: string) => (writeFileSync(join(tool, "nvidia-smi"), `#!/bin/sh\nprintf '${text}'\n`), chmodSync(join(tool, "nvidia-smi"), 0o755));
    answer("GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-1b)\\nGPU 1: Tesla T4 (UUID: GPU-1c)\\n");
    expect(found(folder, `${tool}:/bin`)).toBe("nvidia-smi lists GPU 0: NVIDIA H100 80GB HBM3, GPU 1: Tesla T4");
    answer("No devices found.\\n");
    expect(found(folder, `${tool}:/bin`)).toBe("undefined");
  });

  const chosen = (device: string, path = process.env.PATH!, visible = "0") =>
    script(`import { libraryFolder, libtensorflow } from ${moduleAt("libtensorflow.js")}; try { console.log(libraryFolder(), libtensorflow.megabytes); } catch (error) { console.log(error.message, error.next); }`, {
      DIFFUCODER_DEVICE: device,
      DIFFUCODER_LIBTENSORFLOW: "",
      CUDA_VISIBLE_DEVICES: visible,
      PATH: path,
    }).trim();

  test("the build for GPUs is taken, unless the device is set to another", () => {
    const tool = mkdtempSync(join(folder, "nvidia-smi-"));
    writeFileSync(join(tool, "nvidia-smi"), "#!/bin/sh\necho 'GPU 0: NVIDIA L4 (UUID: GPU-1b)'\n");
    chmodSync(join(tool, "nvidia-smi"), 0o755);
    const builds = join(folder, "libtensorflow");
    for (const device of ["", "auto"]) expect(chosen(device, `${tool}:/bin`)).toBe(`${builds}/tensorflow-2.21.0/tensorflow 4700`);
    expect(chosen("cpu", `${tool}:/bin`)).toBe(`${builds}/tensorflow-cpu-2.21.0/tensorflow 1200`);
    for (const hidden of ["", "-1"]) expect(chosen("auto", `${tool}:/bin`, hidden)).toBe(`${builds}/tensorflow-cpu-2.21.0/tensorflow 1200`);
    expect(chosen("gpu:1", "/bin")).toBe(`${builds}/tensorflow-2.21.0/tensorflow 4700`);
    expect(chosen("tpu")).toBe("DIFFUCODER_DEVICE: expected auto, cpu, gpu or gpu:N, found tpu unset DIFFUCODER_DEVICE");
  });

  test("its wheels are pinned, each by the name that pip gives the file", () => {
    const wheels = JSON.parse(script(`import { GPU_WHEELS } from ${moduleAt("tensorflow-wheels.js")}; console.log(JSON.stringify(GPU_WHEELS));`)) as { name: string; version: string; file: string; sha256: string }[];
    expect(wheels.map(({ name }) => name)).toEqual(["tensorflow", ...["cublas", "cuda-cupti", "cuda-nvcc", "cuda-nvrtc", "cuda-runtime", "cudnn", "cufft", "curand", "cusolver", "cusparse", "nccl", "nvjitlink"].map((part) => `nvidia-${part}-cu12`)]);
    for (const { name, version, file, sha256 } of wheels) {
      expect(file).toMatch(new RegExp(`^${name.replaceAll("-", "_")}-${version}-.*x86_64\\.whl$`));
      expect(sha256).toMatch(/^[0-9a-f]{64}$/);
    }
    expect(new Set(wheels.map(({ sha256 }) => sha256)).size).toBe(13);
  });

  test("set-up fails when its wheels cannot be had: no other build takes their place unasked", () => {
    const attempt = `import { libtensorflow } from ${moduleAt("libtensorflow.js")}; console.log(await libtensorflow.run().catch((error) => error.message + " " + error.next));`;
    const environment = { PATH: folder, DIFFUCODER_LIBTENSORFLOW: "" }; // without python3
    expect(script(attempt, { ...environment, DIFFUCODER_DEVICE: "gpu" })).toContain("libtensorflow for GPUs: expected its wheels and CUDA's through pip, found them not to be had (no network?) DIFFUCODER_DEVICE=cpu npm run setup\n");
    expect(script(attempt, { ...environment, DIFFUCODER_DEVICE: "cpu" })).toContain("none to be had (no network?); the wasm backend is used");
    expect(readdirSync(join(folder, "libtensorflow"))).toEqual([]);
  });

  test("set-up fails when no operation ran on it, whatever the reason", () => {
    const links = join(ROOT, "node_modules/@tensorflow/tfjs-node-gpu/deps");
    const library = dirname(readlinkSync(join(links, "lib/libtensorflow_cc.so.2")));
    const before = readdirSync(links);
    const { status, stdout, stderr } = setUp({ DIFFUCODER_DEVICE: "gpu:99", DIFFUCODER_LIBTENSORFLOW: library });
    expect(status).toBe(1);
    expect(stdout).toMatch(/^set-up: GPU; needs/);
    expect(stderr).toMatch(/set-up failed: GPU: .*; expected a product in bf16 computed there, found none:\n(?: {2}.*\n)* {2}found: .*expected GPU 99, found none/);
    expect(stderr).toMatch(/libcuda\.so\.1, of version 525 or newer.*\n {2}try: DIFFUCODER_DEVICE=cpu npm run setup\n/);
    expect(readdirSync(links)).toEqual(before);
  });
});

describe("wheels", () => {
  /** Puts a wheel where pip would have left it. */
  function fetched(name: string): { name: string; version: string; file: string; sha256: string; members: string[] } {
    const file = join(folder, "downloads", `${name}.whl`);
    mkdirSync(dirname(file), { recursive: true });
    const pack = `
import sys, zipfile
with zipfile.ZipFile(sys.argv[1], "w") as wheel:
    tool = zipfile.ZipInfo("lib/tool"); tool.external_attr = 0o755 << 16
    wheel.writestr(tool, sys.argv[2]); wheel.writestr("lib/${name}.so", sys.argv[2]); wheel.writestr("python/x.py", "")`;
    expect(spawnSync("python3", ["-c", pack, file, name]).status).toBe(0);
    return { name, version: "1", file: `${name}.whl`, sha256: createHash("sha256").update(readFileSync(file)).digest("hex"), members: ["lib/"] };
  }
  const unpack = (wheels: unknown, target: string) => script(`import { unpackWheels } from ${moduleAt("wheels.js")}; console.log(await unpackWheels(${JSON.stringify(wheels)}, ${JSON.stringify(target)}));`, { PIP_NO_INDEX: "1" });

  test("are unpacked into one folder, executables stay executable, and what is not wanted is left out", () => {
    const target = join(folder, "unpacked", "build");
    expect(unpack([fetched("one"), fetched("two")], target)).toBe("true\n");
    expect(readdirSync(target, { recursive: true }).sort()).toEqual(["lib", "lib/one.so", "lib/tool", "lib/two.so"]);
    expect(statSync(join(target, "lib/tool")).mode & 0o777).toBe(0o755);
    expect(readdirSync(join(folder, "downloads"))).toEqual([]);
  });

  test("leave nothing half unpacked when one cannot be had", () => {
    const target = join(folder, "broken", "build");
    const absent = { ...fetched("three"), name: "absent", file: "absent.whl" };
    expect(unpack([fetched("four"), absent], target)).toMatch(/absent: pip could not fetch it: .*\nfalse\n/);
    expect(readdirSync(dirname(target))).toEqual([]);
  });
});
