// Axes: N rows, V vocabulary.
#include <cmath>

#include "kernel.h"
#include "kernels.h"
#include "parallel.h"
#include "vector.h"

namespace diffucoder {
namespace {

constexpr int64_t kRows = 4;

struct CrossEntropy {
  explicit CrossEntropy(Attributes) {}

  void operator()(Call& call) const {
    const Shape shape = call.shape(0);
    const int64_t rows = shape[0], vocabulary = shape[1];
    const Numbers logits = call.numbers(0);
    const int32_t* targets = call.input<int32_t>(1);
    if (!requireTargets(call, targets, rows, vocabulary)) return;
    float *loss = call.output(0, {rows}), *logSum = call.output(1, {rows});
    if (call.failed()) return;
    parallelRows(rows, kRows, [&](int64_t first, int64_t last) {
      for (int64_t row = first; row < last; row++) {
        const Numbers x = logits + row * vocabulary;
        logSum[row] = logSumExp(x, vocabulary);
        loss[row] = logSum[row] - x[targets[row]];
      }
    });
  }

  static bool requireTargets(Call& call, const int32_t* targets, int64_t rows, int64_t vocabulary) {
    for (int64_t row = 0; row < rows; row++) {
      if (targets[row] >= 0 && targets[row] < vocabulary) continue;
      return call.require(false, "target of row " + std::to_string(row) + ": expected 0 to " + std::to_string(vocabulary - 1) + ", found " + std::to_string(targets[row]));
    }
    return true;
  }

  static float logSumExp(Numbers x, int64_t count) {
    const float top = largestOf(x, count);
    const int64_t whole = count / kLanes * kLanes;
    Vector sum{};
    for (int64_t i = 0; i < whole; i += kLanes) sum += exponential(load(x + i) - top);
    float total = sumOf(sum);
    for (int64_t i = whole; i < count; i++) total += exponential(x[i] - top)[0];
    return top + std::log(total);
  }
};

struct CrossEntropyGradient {
  TF_DataType type;
  explicit CrossEntropyGradient(Attributes attributes) : type(attributes.dtype("d_logits_type")) {}

  void operator()(Call& call) const {
    const Shape shape = call.shape(0);
    const int64_t rows = shape[0], vocabulary = shape[1];
    const Numbers logits = call.numbers(0);
    const float *logSum = call.input(2), *dLoss = call.input(3);
    const int32_t* targets = call.input<int32_t>(1);
    const Numbers dLogits = call.output(0, shape, type);
    if (call.failed()) return;
    parallelRows(rows, kRows, [&](int64_t first, int64_t last) {
      for (int64_t row = first; row < last; row++) {
        const Numbers x = logits + row * vocabulary, slope = dLogits + row * vocabulary;
        const auto share = [&](Vector logit) { return exponential(logit - logSum[row]) * dLoss[row]; };
        forEachRun(vocabulary, [&](int64_t i, auto get, auto put) { put(slope + i, share(get(x + i))); });
        slope.set(targets[row], share(x[targets[row]])[0] - dLoss[row]);
      }
    });
  }
};

}  // namespace

void registerCrossEntropy() {
  registerKernel<CrossEntropy>({"DiffucoderCrossEntropy", {"logits: real", "targets: int32"}, {"loss: float", "log_sum: float"}});
  registerKernel<CrossEntropyGradient>(
      {"DiffucoderCrossEntropyGradient", {"logits: real", "targets: int32", "log_sum: float", "d_loss: float"}, {"d_logits: real"}});
}

}  // namespace diffucoder
