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
  TF_DataType type;
  explicit SwiGlu(Attributes attributes) : type(attributes.dtype("y_type")) {}

  void operator()(Call& call) const {
    const Shape shape = call.shape(0);
    const int64_t rows = shape[0], inner = shape[1] / 2;
    const Numbers gateUp = call.numbers(0), y = call.output(0, {rows, inner}, type);
    if (call.failed()) return;
    parallelRows(rows, kRows, [&](int64_t first, int64_t last) {
      for (int64_t row = first; row < last; row++) {
        const Numbers gate = gateUp + row * 2 * inner, up = gate + inner;
        forEachRun(inner, [&](int64_t i, auto get, auto put) {
          const Vector x = get(gate + i);
          put(y + row * inner + i, x * sigmoid(x) * get(up + i));
        });
      }
    });
  }
};

struct SwiGluGradient {
  TF_DataType type;
  explicit SwiGluGradient(Attributes attributes) : type(attributes.dtype("d_gate_up_type")) {}

  void operator()(Call& call) const {
    const Shape shape = call.shape(0);
    const int64_t rows = shape[0], inner = shape[1] / 2;
    const Numbers gateUp = call.numbers(0), dy = call.numbers(1), dGateUp = call.output(0, shape, type);
    if (call.failed()) return;
    parallelRows(rows, kRows, [&](int64_t first, int64_t last) {
      for (int64_t row = first; row < last; row++) {
        const Numbers gate = gateUp + row * 2 * inner, up = gate + inner, slope = dy + row * inner;
        const Numbers dGate = dGateUp + row * 2 * inner, dUp = dGate + inner;
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
  registerKernel<SwiGlu>({"DiffucoderSwiGlu", {"gate_up: real"}, {"y: real"}});
  registerKernel<SwiGluGradient>({"DiffucoderSwiGluGradient", {"gate_up: real", "dy: real"}, {"d_gate_up: real"}});
}

}  // namespace diffucoder
