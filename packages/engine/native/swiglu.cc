// Axes: N rows, F inner width.
#include "kernel.h"
#include "kernels.h"
#include "parallel.h"
#include "vector.h"

namespace diffucoder {
namespace {

constexpr int64_t kRows = 16;

/** Gate and up lie side by side: [N, 2F] to [N, F]. */
struct SwiGlu {
  explicit SwiGlu(Attributes) {}

  void operator()(Call& call) const {
    const Shape shape = call.shape(0);
    const int64_t rows = shape[0], inner = shape[1] / 2;
    const float* gateUp = call.input(0);
    float* y = call.output(0, {rows, inner});
    if (call.failed()) return;
    parallelRows(rows, kRows, [&](int64_t first, int64_t last) {
      for (int64_t row = first; row < last; row++) {
        const float *gate = gateUp + row * 2 * inner, *up = gate + inner;
        forEachRun(inner, [&](int64_t i, auto get, auto put) {
          const Vector x = get(gate + i);
          put(y + row * inner + i, x * sigmoid(x) * get(up + i));
        });
      }
    });
  }
};

struct SwiGluGradient {
  explicit SwiGluGradient(Attributes) {}

  void operator()(Call& call) const {
    const Shape shape = call.shape(0);
    const int64_t rows = shape[0], inner = shape[1] / 2;
    const float *gateUp = call.input(0), *dy = call.input(1);
    float* dGateUp = call.output(0, shape);
    if (call.failed()) return;
    parallelRows(rows, kRows, [&](int64_t first, int64_t last) {
      for (int64_t row = first; row < last; row++) {
        const float *gate = gateUp + row * 2 * inner, *up = gate + inner, *slope = dy + row * inner;
        float *dGate = dGateUp + row * 2 * inner, *dUp = dGate + inner;
        forEachRun(inner, [&](int64_t i, auto get, auto put) {
          const Vector x = get(gate + i), open = sigmoid(x), dyI = get(slope + i);
          put(dGate + i, dyI * get(up + i) * open * (1.0f + x * (1.0f - open)));
          put(dUp + i, dyI * x * open);
        });
      }
    });
  }
};

}  // namespace

void registerSwiGlu() {
  registerKernel<SwiGlu>({"DiffucoderSwiGlu", {"gate_up: float"}, {"y: float"}});
  registerKernel<SwiGluGradient>({"DiffucoderSwiGluGradient", {"gate_up: float", "dy: float"}, {"d_gate_up: float"}});
}

}  // namespace diffucoder
