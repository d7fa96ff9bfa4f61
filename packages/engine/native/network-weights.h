// Axes: H hidden, Q query heads, G key-value heads, D head width, F inner width, V vocabulary.
//
// The weights of the decoding network as the operation gets them: vectors as they are, matrices packed (pack.cc).
#pragma once
#include <string>
#include <vector>

#include "kernel.h"
#include "packed.h"

namespace diffucoder {

struct Sizes {
  int64_t heads, kvHeads, inner, layers;
  float epsilon;
  int64_t batch = 0, length = 0, hidden = 0, width = 0, vocabulary = 0;

  int64_t queryColumns() const { return heads * width; }
  int64_t valueColumns() const { return kvHeads * width; }
};

template <typename Operands>
using Weight = PackedMatrix<Operands, const typename Operands::Element>;

template <typename Operands>
struct Layer {
  const float* inputNorm;
  Weight<Operands> query;
  const float* queryBias;
  Weight<Operands> key;
  const float* keyBias;
  Weight<Operands> value;
  const float* valueBias;
  Weight<Operands> output;
  const float* innerNorm;
  Weight<Operands> gate, up, down;
};

/** The weights in the order of a checkpoint's names, the head always last. */
template <typename Operands>
struct Weights {
  const float* embedding = nullptr;
  std::vector<Layer<Operands>> layers;
  const float* norm = nullptr;
  Weight<Operands> head{};

  Weights(Call& call, int first, const Sizes& s) : call_(call), next_(first) {
    embedding = vector(s.vocabulary * s.hidden);
    for (int64_t layer = 0; layer < s.layers; layer++) {
      Layer<Operands> weights{};
      weights.inputNorm = vector(s.hidden);
      weights.query = matrix(s.queryColumns(), s.hidden);
      weights.queryBias = vector(s.queryColumns());
      weights.key = matrix(s.valueColumns(), s.hidden);
      weights.keyBias = vector(s.valueColumns());
      weights.value = matrix(s.valueColumns(), s.hidden);
      weights.valueBias = vector(s.valueColumns());
      weights.output = matrix(s.hidden, s.queryColumns());
      weights.innerNorm = vector(s.hidden);
      weights.gate = matrix(s.inner, s.hidden);
      weights.up = matrix(s.inner, s.hidden);
      weights.down = matrix(s.hidden, s.inner);
      layers.push_back(weights);
    }
    norm = vector(s.hidden);
    head = matrix(s.vocabulary, s.hidden);
  }

 private:
  Call& call_;
  int next_;

  const float* vector(int64_t count) {
    const int input = next_++;
    const int64_t found = elementsOf(call_.shape(input));
    call_.require(found == count, "network: expected " + std::to_string(count) + " elements in input " + std::to_string(input) + ", found " + std::to_string(found));
    return call_.input(input);
  }

  Weight<Operands> matrix(int64_t columns, int64_t depth) {
    Weight<Operands> weight{nullptr, depth, columns};
    weight.data = reinterpret_cast<const typename Operands::Element*>(vector(weight.elements()));
    return weight;
  }
};

}  // namespace diffucoder
