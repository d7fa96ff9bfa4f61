// Axes: R rows, V vocabulary.
//
// How far to doubt the likeliest token of each row of logits; see confidence-doubt.ts in the package `model`, which has the same of
// TensorFlow's own operations.
#include <cmath>

#include "kernel.h"
#include "kernels.h"
#include "parallel.h"
#include "vector.h"

namespace diffucoder {
namespace {

constexpr int64_t kRows = 16;

struct Doubts {
  explicit Doubts(Attributes) {}

  void operator()(Call& call) const {
    const Shape shape = call.shape(0);
    const int64_t rows = shape[0], vocabulary = shape[1];
    const float *logits = call.input(0), temperature = call.scalar(1);
    float *missingProbability = call.output(0, {rows}), *missingMargin = call.output(1, {rows}), *entropy = call.output(2, {rows});
    if (call.failed()) return;
    parallelRows(rows, kRows, [&](int64_t first, int64_t last) {
      for (int64_t row = first; row < last; row++) {
        const Sums sums = sumsOf(logits + row * vocabulary, vocabulary, temperature);
        const float total = 1 + sums.rest;
        missingProbability[row] = sums.rest / total;
        missingMargin[row] = (sums.rest + sums.next) / total;
        entropy[row] = std::log1p(sums.rest) - sums.products / total;
      }
    });
  }

  /** Of exp(below), where `below` is how far a token lies below the likeliest, over temperature; all without that one, whose 1 would lose the small ones. */
  struct Sums {
    float rest;
    /** exp(below) times below. */
    float products;
    /** exp(below) of the second likeliest. */
    float next;
  };

  /** Not numbers where the logits are not. */
  static Sums sumsOf(const float* logits, int64_t count, float temperature) {
    const float top = largestOf(logits, count), nothing = top - 1000 * temperature;
    Vector powers{}, products{}, tops{}, second = nothing;
    for (int64_t i = 0; i < count; i += kLanes) {
      const Vector run = i + kLanes <= count ? load(logits + i) : loadSome(logits + i, count - i, nothing);
      const Vector others = map([=](Register x) { return x == top ? nothing - Register{} : x; }, run);
      const Vector below = (others - top) * (1 / temperature), power = exponential(below);
      tops += map([=](Register x) { return x == top ? 1.0f - Register{} : Register{}; }, run);
      second = larger(others, second);
      powers += power;
      products += power * below;
    }
    const float equals = sumOf(tops) - 1;
    if (equals < 0) return {top, top, top};
    return {sumOf(powers) + equals, sumOf(products), equals > 0 ? 1 : std::exp((largestOf(second) - top) / temperature)};
  }
};

}  // namespace

void registerDoubts() {
  registerKernel<Doubts>({"DiffucoderDoubts", {"logits: float", "temperature: float"}, {"missing_probability: float", "missing_margin: float", "entropy: float"}});
}

}  // namespace diffucoder
