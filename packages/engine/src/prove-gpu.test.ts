import { expect, it } from "vitest";
import { proveGpu } from "./prove-gpu.ts";
import { loadBackend, nativeBackend } from "./backend.ts";

it("a product that is pinned to a device shows that it ran there, and leaves nothing behind", async () => {
  await loadBackend();
  const { binding } = nativeBackend() as unknown as { binding: { getNumOfTensors(): number } };
  const before = binding.getNumOfTensors();
  await expect(proveGpu("/device:CPU:0")).resolves.toBeUndefined();
  await expect(proveGpu("/device:GPU:99")).rejects.toMatchObject({
    code: "BackendUnavailable",
    message: expect.stringMatching(/^\/device:GPU:99: expected a product in bf16, found .*was explicitly assigned to \/device:GPU:99 but available devices are \[/) as string,
  });
  expect(binding.getNumOfTensors()).toBe(before);
});
