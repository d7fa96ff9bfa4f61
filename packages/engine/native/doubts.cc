// Axes: R rows, V vocabulary.
//
// How far to doubt the likeliest token of each row of logits; see confidence-doubt.ts in the package `model`, which has the same of
// TensorFlow's own operations.
#include <algorithm>
#include <cmath>
#include <limits>

#include "kernel.h"
#include "kernels.h"
#include "parallel.h"
#include "scratch.h"
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
    constexpr float kNone = std::numeric_limits<float>::quiet_NaN();
    const float top = largestOf(logits, count), nothing = top - 1000 * temperature;
    const float* likeliest = std::find(logits, logits + count, top);
    if (likeliest == logits + count) return {kNone, kNone, kNone};
    thread_local Scratch scratch;
    float* others = scratch.room(count + kLanes);
    std::copy(logits, logits + count, others);
    std::fill(others + count, others + count + kLanes, nothing);
    others[likeliest - logits] = nothing;
    Vector powers{}, products{};
    for (int64_t i = 0; i < count; i += kLanes) {
      const Vector below = (load(others + i) - top) * (1 / temperature), power = exponential(below);
      powers += power;
      products += power * below;
    }
    return {sumOf(powers), sumOf(products), std::exp((largestOf(others, count) - top) / temperature)};
  }
};

}  // namespace

void registerDoubts() {
  registerKernel<Doubts>({"DiffucoderDoubts", {"logits: float", "temperature: float"}, {"missing_probability: float", "missing_margin: float", "entropy: float"}});
}

}  // namespace diffucoder
