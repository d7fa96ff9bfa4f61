export const TENSORFLOW_VERSION = "2.21.0";

/** What the addon links to and is compiled against. */
const LIBRARY = [
  "tensorflow/libtensorflow_cc.so.2",
  "tensorflow/libtensorflow_framework.so.2",
  "tensorflow/include/tensorflow/c/",
  "tensorflow/include/tensorflow/core/platform/ctstring",
  "tensorflow/include/tsl/platform/",
  "tensorflow/include/xla/tsl/c/",
];

const tensorflow = (name, sha256) => ({
  name,
  version: TENSORFLOW_VERSION,
  file: `${name.replaceAll("-", "_")}-${TENSORFLOW_VERSION}-cp311-cp311-manylinux_2_27_x86_64.whl`,
  sha256,
  members: LIBRARY,
});

/** @type {readonly import("./wheels.js").Wheel[]} */
export const CPU_WHEELS = [tensorflow("tensorflow-cpu", "2b847d217b02ee7731ed91431daf3250daa0196c3c94614d23be27232e6e5b6c")];

const nvidia = (part, version, sha256, { tags = "manylinux2014_x86_64", members = [`nvidia/${part}/lib/`] } = {}) => ({
  name: `nvidia-${part.replaceAll("_", "-")}-cu12`,
  version,
  file: `nvidia_${part}_cu12-${version}-py3-none-${tags}.whl`,
  sha256,
  members,
});

/**
 * The same library with its operations for NVIDIA GPUs, and the CUDA that it was built with: 12.5.1 and cuDNN 9.3, as
 * `tensorflow/python/platform/build_info.py` in the wheel says. They are the least that its metadata asks for
 * (`tensorflow[and-cuda]`), and its own paths lead from `tensorflow/` to `nvidia/` beside it.
 *
 * @type {readonly import("./wheels.js").Wheel[]}
 */
export const GPU_WHEELS = [
  tensorflow("tensorflow", "9056fbc9ba04235810b71ae6cbd958a196e8804fb53bbcffbf3e23b56155f124"),
  nvidia("cublas", "12.5.3.2", "ca070ad70e9fa6654084575d01bd001f30cc4665e33d4bb9fc8e0f321caa034b"),
  nvidia("cuda_cupti", "12.5.82", "bde77a5feb66752ec61db2adfe47f56b941842825b4c7e2068aff27c9d107953"),
  // ptxas and libdevice, which XLA compiles with.
  nvidia("cuda_nvcc", "12.5.82", "b03e545b8e8c3ce7ebcd7fc44063180ff52ff01d064ece2127ed90a04ef12cd0", { members: ["nvidia/cuda_nvcc/bin/", "nvidia/cuda_nvcc/nvvm/"] }),
  nvidia("cuda_nvrtc", "12.5.82", "3dbd97b0104b4bfbc3c4f8c79cd2496307c89c43c29a9f83125f1d76296ff3fd"),
  nvidia("cuda_runtime", "12.5.82", "3e79a060e126df40fd3a068f3f787eb000fa51b251ec6cd97d09579632687115"),
  nvidia("cudnn", "9.3.0.75", "9ad9c6929ebb5295eb4a1728024666d1c88283373e265a0c5c883e6f9d5cd76d"),
  nvidia("cufft", "11.2.3.61", "9a6e8df162585750f61983a638104a48c756aa13f9f48e19ab079b38e3c828b8"),
  nvidia("curand", "10.3.6.82", "2823fb27de4e44dbb22394a6adf53aa6e1b013aca0f8c22867d1cfae58405536"),
  nvidia("cusolver", "11.6.3.83", "93cfafacde4428b71778eeb092ec615a02a3d05404da1bcf91c53e3fa1bce42b"),
  nvidia("cusparse", "12.5.1.3", "016df8e993c437e8301e62739f01775cba988fd5253cd4c64173f8e8d2f8e752"),
  nvidia("nccl", "2.27.7", "de5ba5562f08029a19cb1cd659404b18411ed0d6c90ac5f52f30bf99ad5809aa", { tags: "manylinux2014_x86_64.manylinux_2_17_x86_64" }),
  nvidia("nvjitlink", "12.5.82", "f9b37bc5c8cf7509665cb6ada5aaa0ce65618f2332b7d3e78e9790511f111212"),
];
