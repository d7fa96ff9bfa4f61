import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { loadBackend } from "./backend.ts";
import { nativeBackend, type Binding } from "./native-backend.ts";
import { proveGpu } from "./prove-gpu.ts";

let binding: Binding & { getNumOfTensors(): number };
let tensorsBefore: number;
let opened: number[];
let freed: number[];
/** What the product is asked for; anything else than the graph's own fails as a kernel does: in a session that is open. */
let output: string | undefined;

beforeEach(async () => {
  await loadBackend();
  binding = nativeBackend().binding as typeof binding;
  [tensorsBefore, opened, freed, output] = [binding.getNumOfTensors(), [], [], undefined];
  const watched: Partial<Binding> = {
    loadSavedModel: (...call) => (opened.push(binding.loadSavedModel(...call)), opened.at(-1)!),
    deleteSavedModel: (session) => (binding.deleteSavedModel(session), void freed.push(session)),
    runSavedModel: (session, inputs, inputNames, outputNames) => binding.runSavedModel(session, inputs, inputNames, output ?? outputNames),
  };
  nativeBackend().binding = new Proxy({} as Binding, { get: (_, name) => Reflect.get(name in watched ? watched : binding, name) as unknown }); // its own members are read-only
});
afterEach(() => {
  nativeBackend().binding = binding;
});

describe("a product that is pinned to a device", () => {
  const leftBehind = () => ({ tensors: binding.getNumOfTensors() - tensorsBefore, sessions: opened.length - freed.length });
  const nothing = { tensors: 0, sessions: 0 };

  it("shows that it ran there", async () => {
    await expect(proveGpu("/device:CPU:0")).resolves.toBeUndefined();
    expect(freed).toEqual(opened);
    expect(leftBehind()).toEqual(nothing);
  });

  it("is refused where there is no such device", async () => {
    await expect(proveGpu("/device:GPU:99")).rejects.toMatchObject({
      code: "BackendUnavailable",
      message: expect.stringMatching(/^\/device:GPU:99: expected a product in bf16, found .*was explicitly assigned to \/device:GPU:99 but available devices are \[/) as string,
    });
    expect(leftBehind()).toEqual(nothing);
  });

  it("frees its session when it fails", async () => {
    output = "cube:0";
    await expect(proveGpu("/device:CPU:0")).rejects.toMatchObject({ code: "BackendUnavailable" });
    expect(opened).toHaveLength(1);
    expect(leftBehind()).toEqual(nothing);
  });
});
