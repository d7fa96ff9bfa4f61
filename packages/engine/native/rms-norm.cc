// Axes: N rows, H hidden.
#include <cmath>

#include "kernel.h"
#include "kernels.h"
#include "parallel.h"
#include "vector.h"

namespace diffucoder {
namespace {

constexpr int64_t kRows = 32;  // of one piece of work

struct RmsNorm {
  float epsilon;
  TF_DataType type;
  explicit RmsNorm(Attributes attributes) : epsilon(attributes.real("epsilon")), type(attributes.dtype("y_type")) {}

  void operator()(Call& call) const {
    const Shape shape = call.shape(0);
    const int64_t rows = shape[0], hidden = shape[1];
    const float *x = call.input(0), *scale = call.input(1);
    const Numbers y = call.output(0, shape, type);
    float* inverse = call.output(1, {rows});
    if (call.failed()) return;
    parallelRows(rows, kRows, [&](int64_t first, int64_t last) {
      for (int64_t row = first; row < last; row++) {
        const float* input = x + row * hidden;
        Vector squares{};
        forEachRun(hidden, [&](int64_t i, auto get, auto) { squares += get(input + i) * get(input + i); });
        const float factor = 1.0f / std::sqrt(sumOf(squares) / static_cast<float>(hidden) + epsilon);
        inverse[row] = factor;
        forEachRun(hidden, [&](int64_t i, auto get, auto put) { put(y + row * hidden + i, get(input + i) * factor * get(scale + i)); });
      }
    });
  }
};

struct RmsNormGradient {
  explicit RmsNormGradient(Attributes) {}

  void operator()(Call& call) const {
    const Shape shape = call.shape(0);
    const int64_t rows = shape[0], hidden = shape[1];
    const float *x = call.input(0), *scale = call.input(1), *inverse = call.input(2);
    const Numbers dy = call.numbers(3);
    const float* addend = call.addend(4, shape);
    float *dx = call.output(0, shape), *dScale = call.output(1, {hidden});
    if (call.failed()) return;
    const int64_t pieces = (rows + kRows - 1) / kRows;
    std::vector<float> partial(pieces * hidden, 0.0f);
    parallelRows(rows, kRows, [&](int64_t first, int64_t last) {
      float* share = partial.data() + first / kRows * hidden;
      for (int64_t row = first; row < last; row++) {
        const float* input = x + row * hidden;
        const Numbers output = dy + row * hidden;
        const float factor = inverse[row];
        Vector products{};
        forEachRun(hidden, [&](int64_t i, auto get, auto) { products += get(output + i) * get(scale + i) * get(input + i); });
        const float pull = sumOf(products) * factor * factor / static_cast<float>(hidden);
        forEachRun(hidden, [&](int64_t i, auto get, auto put) {
          const Vector value = get(input + i), slope = get(output + i);
          const Vector scaled = slope * get(scale + i);
          const Vector dxI = (scaled - value * pull) * factor;
          put(dx + row * hidden + i, addend == nullptr ? dxI : get(addend + row * hidden + i) + dxI);
          put(share + i, get(share + i) + slope * value * factor);
        });
      }
    });
    sumRows(partial.data(), pieces, hidden, dScale);
  }
};

}  // namespace

void sumRows(const float* matrix, int64_t rows, int64_t columns, float* sums) {
  forEachRun(columns, [&](int64_t i, auto get, auto put) {
    Vector sum{};
    for (int64_t row = 0; row < rows; row++) sum += get(matrix + row * columns + i);
    put(sums + i, sum);
  });
}

void registerRmsNorm() {
  registerKernel<RmsNorm>({"DiffucoderRmsNorm", {"x: float", "scale: float"}, {"y: real", "inverse: float"}, {"epsilon: float"}});
  registerKernel<RmsNormGradient>({"DiffucoderRmsNormGradient", {"x: float", "scale: float", "inverse: float", "dy: real", "addend: N * float"}, {"dx: float", "d_scale: float"}, {"N: int >= 0 = 0"}});
}

}  // namespace diffucoder
