// One optimizer step over all parameters: global norm, clipping, Adam with decoupled decay.
//
// Source: Loshchilov and Hutter, "Decoupled Weight Decay Regularization", arXiv:1711.05101v3, algorithm 2, with epsilon added
// before the second moment's bias correction, as TensorFlow's own kernel has it.
#include <algorithm>
#include <cmath>
#include <set>
#include <vector>

#include "kernel.h"
#include "kernels.h"
#include "parallel.h"
#include "vector.h"

namespace diffucoder {
namespace {

constexpr int64_t kPieceElements = 16384;

/** A run of one tensor's elements. */
struct Piece {
  int tensor;
  int64_t first, count;
};

void cut(const Piece& run, std::vector<Piece>& pieces) {
  for (int64_t done = 0; done < run.count; done += kPieceElements) pieces.push_back({run.tensor, run.first + done, std::min(kPieceElements, run.count - done)});
}

std::vector<Piece> piecesOf(const Call& call, int count) {
  std::vector<Piece> pieces;
  for (int tensor = 0; tensor < count; tensor++) cut({tensor, 0, elementsOf(call.shape(tensor))}, pieces);
  return pieces;
}

/** Square root of the sum of all squares, of runs [.., 3] of elements: tensor, first element, count. Sums are in the order of the runs. */
struct GlobalNorm {
  explicit GlobalNorm(Attributes) {}

  void operator()(Call& call) const {
    const int count = call.inputCount() - 1;
    const int32_t* run = call.input<int32_t>(count);
    std::vector<Piece> pieces;
    for (const int32_t* end = run + elementsOf(call.shape(count)); run != end; run += 3) {
      const bool isWithin = run[0] >= 0 && run[0] < count && run[1] >= 0 && run[2] >= 0 && run[1] + int64_t{run[2]} <= elementsOf(call.shape(run[0]));
      if (!call.require(isWithin, "global norm: expected runs within the gradients")) return;
      cut({run[0], run[1], run[2]}, pieces);
    }
    float* norm = call.output(0, {});
    if (call.failed()) return;
    std::vector<float> squares(pieces.size());
    parallelFor(pieces.size(), [&](int64_t index) {
      const Piece& piece = pieces[index];
      const float* gradient = call.input(piece.tensor) + piece.first;
      Vector sum{};
      forEachRun(piece.count, [&](int64_t i, auto get, auto) { sum += get(gradient + i) * get(gradient + i); });
      squares[index] = sumOf(sum);
    });
    double total = 0;
    for (const float square : squares) total += square;
    *norm = static_cast<float>(std::sqrt(total));
  }
};

/**
 * Inputs: parameters, first and second moments and gradients (N each), then the gradients' norm, the learning rate and the
 * powers of both betas. The output is the norm.
 *
 * Parameters and moments are values that were read from resource variables, which share the variables' memory: they are
 * updated where they lie. The graph must let every other reader run first.
 */
struct AdamW {
  float beta1, beta2, epsilon, weightDecay, clipNorm;
  int64_t decaying;  // the first so many parameters decay

  explicit AdamW(Attributes a)
      : beta1(a.real("beta1")), beta2(a.real("beta2")), epsilon(a.real("epsilon")), weightDecay(a.real("weight_decay")), clipNorm(a.real("clip_norm")), decaying(a.integer("decaying")) {}

  void operator()(Call& call) const {
    const int count = (call.inputCount() - 4) / 4;
    const float norm = call.scalar(4 * count), learningRate = call.scalar(4 * count + 1);
    const float rate = learningRate * std::sqrt(1.0f - call.scalar(4 * count + 3)) / (1.0f - call.scalar(4 * count + 2));
    const float clip = clipNorm > 0 ? clipNorm / std::max(norm, clipNorm) : 1.0f;
    float* done = call.output(0, {});
    if (call.failed()) return;
    std::vector<std::vector<float>> copies;
    const std::vector<const float*> gradients = gradientsApart(call, count, copies);
    const std::vector<Piece> pieces = piecesOf(call, count);
    parallelFor(pieces.size(), [&](int64_t index) {
      const Piece& piece = pieces[index];
      float *parameter = call.input(piece.tensor) + piece.first, *first = call.input(count + piece.tensor) + piece.first, *second = call.input(2 * count + piece.tensor) + piece.first;
      const float* gradient = gradients[piece.tensor] + piece.first;
      const float kept = piece.tensor < decaying ? 1.0f - learningRate * weightDecay : 1.0f;
      forEachRun(piece.count, [&](int64_t i, auto get, auto put) {
        const Vector g = get(gradient + i) * clip;
        const Vector mean = get(first + i) + (g - get(first + i)) * (1.0f - beta1);
        const Vector spread = get(second + i) + (g * g - get(second + i)) * (1.0f - beta2);
        put(first + i, mean);
        put(second + i, spread);
        put(parameter + i, get(parameter + i) * kept - mean * rate / (squareRoot(spread) + epsilon));
      });
    });
    *done = norm;
  }

  /** The gradients. One that is a parameter's own memory (that of x in x y is y) is copied before anything is written. */
  static std::vector<const float*> gradientsApart(const Call& call, int count, std::vector<std::vector<float>>& copies) {
    std::set<const float*> parameters;
    for (int tensor = 0; tensor < count; tensor++) parameters.insert(call.input(tensor));
    std::vector<const float*> gradients(count);
    for (int tensor = 0; tensor < count; tensor++) {
      const float* gradient = call.input(3 * count + tensor);
      if (parameters.count(gradient) == 1) {
        copies.emplace_back(gradient, gradient + elementsOf(call.shape(tensor)));
        gradient = copies.back().data();
      }
      gradients[tensor] = gradient;
    }
    return gradients;
  }
};

}  // namespace

void registerAdamW() {
  registerKernel<GlobalNorm>({"DiffucoderGlobalNorm", {"gradients: N * float", "runs: int32"}, {"norm: float"}, {"N: int >= 1"}});
  registerKernel<AdamW>({"DiffucoderAdamW",
                         {"parameters: N * float", "first_moments: N * float", "second_moments: N * float", "gradients: N * float", "norm: float", "learning_rate: float", "beta1_power: float", "beta2_power: float"},
                         {"done: float"},
                         {"N: int >= 1", "beta1: float", "beta2: float", "epsilon: float", "weight_decay: float", "clip_norm: float", "decaying: int"},
                         /*isStateful=*/true});
}

}  // namespace diffucoder
