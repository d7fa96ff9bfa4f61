// Axes: B canvases, T tokens of one, H hidden, Q query heads, G key-value heads, D head width, F inner width, V vocabulary, R rows wanted.
//
// The forward pass of decoding in one operation: from tokens to the logits of some rows. Work is split by
// blocks of rows of one canvas. What a block goes through between two layers' attention - output projection, norms, the inner
// network, the next layer's projections - it goes through at once, in the cache of a core; only attention needs what the others have
// made, so that there is one meeting of all threads a layer. Past the last attention, and in it as queries, there are only rows that are wanted.
//
// With a block cache, keys and values of all layers are kept, and later passes evaluate a span of each canvas alone: its keys and values take
// the place of those before, the others stand.
//
// A row's result depends on its own canvas and position alone: not on the other canvases, the other rows wanted, nor the threads.
#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "kernel.h"
#include "kernels.h"
#include "network-weights.h"
#include "packed.h"
#include "parallel.h"
#include "scratch.h"

namespace diffucoder {
namespace {

/** What a pass evaluates, and what it leaves. */
enum class Pass { kWhole, kOpening, kPart };

/** Tokens, rows and the two tables of rotation come before; of a part, also its spans and the cache. */
constexpr int kSpans = 4, kCache = 5;
constexpr int firstWeight(Pass pass) { return pass == Pass::kPart ? 6 : 4; }

/** Rows of one canvas that go through a layer together: positions from `first` on. */
struct Block {
  int64_t canvas, first, count;
};

/** Rows that are wanted of one canvas, as indices into the list of them. */
struct WantedRows {
  int64_t canvas;
  std::vector<int64_t> indices;
};

/** What the caller's thread keeps for all: the state between layers. */
thread_local Scratch hiddenRoom, queryRoom, keyRoom, valueRoom;
/** What each thread keeps for itself: the state within a block of rows. */
thread_local Scratch normedRoom, projectedRoom, keyRowRoom, scoreRoom, weightRoom, mixedRoom, gatedRoom, lastHiddenRoom, lastQueryRoom;

template <typename Operands>
class ForwardPass {
  using Element = typename Operands::Element;
  using Left = LeftBlock<Operands>;
  using Packed = PackedMatrix<Operands, Element>;

 public:
  ForwardPass(Call& call, Pass pass, const Sizes& sizes)
      : s(sizes), kind(pass), tokens(call.input<int32_t>(0)), rows(call.input<int32_t>(1)), rowCount(call.shape(1)[0]), cos(call.input(2)), sin(call.input(3)), weights(call, firstWeight(pass), sizes) {}

  void run(Call& call) {
    checkTokensAndRows(call);
    gatherBlocks(call);
    gatherWanted(call);
    float* logits = call.output(0, {rowCount, s.vocabulary});
    findKeysAndValues(call);
    if (call.failed()) return;
    const int64_t count = static_cast<int64_t>(blocks.size());
    hidden = hiddenRoom.room(count * kBlockRows * rowRoom(s.hidden));
    queries = queryRoom.room<Element>(count * queryElements());

    const auto forEachBlock = [&](auto body) {
      parallelFor(count, [&](int64_t block) {
        [[maybe_unused]] typename Operands::Session session;
        body(block);
      });
    };
    forEachBlock([&](int64_t block) {
      embed(block);
      project(0, block);
    });
    for (int64_t layer = 0; layer + 1 < s.layers; layer++) {
      forEachBlock([&](int64_t block) {
        passLayer(layer, blocks[block].canvas, blocks[block].count, queriesAt(block), hiddenAt(block));
        project(layer + 1, block);
      });
    }
    parallelFor(static_cast<int64_t>(wanted.size()), [&](int64_t piece) {
      [[maybe_unused]] typename Operands::Session session;
      finish(wanted[piece], logits);
    });
    for (int64_t row = 0; row < rowCount; row++) {
      if (isNone(rows[row])) std::fill_n(logits + row * s.vocabulary, s.vocabulary, 0.0f);
    }
  }

 private:
  const Sizes s;
  const Pass kind;
  const int32_t *tokens, *rows;
  const int64_t rowCount;
  const float *cos, *sin;
  const Weights<Operands> weights;
  std::vector<Block> blocks;
  /** Of each canvas, its first block and one past its last. */
  std::vector<std::pair<size_t, size_t>> blocksOf;
  std::vector<WantedRows> wanted;
  float* hidden = nullptr;
  Element *queries = nullptr, *keys = nullptr, *values = nullptr;

  int64_t queryElements() const { return s.heads * kBlockRows * rowRoom(s.width) / Operands::kValues; }
  float* hiddenAt(int64_t block) const { return hidden + block * kBlockRows * rowRoom(s.hidden); }
  Element* queriesAt(int64_t block) const { return queries + block * queryElements(); }
  /** Queries of one head within those of a block. */
  Left headOf(Element* block, int64_t head) const { return {block + head * kBlockRows * rowRoom(s.width) / Operands::kValues, s.width}; }
  Packed keysAt(Element* data) const { return {data, s.width, s.length}; }
  Packed valuesAt(Element* data) const { return {data, s.length, s.width}; }
  /** Without a cache those of two layers lie side by side: one is read while the next is written. */
  int64_t layersHeld() const { return kind == Pass::kWhole ? 2 : s.layers; }
  int64_t groupsHeld() const { return layersHeld() * s.batch * s.kvHeads; }
  int64_t groupAt(int64_t layer, int64_t canvas, int64_t group) const { return ((layer % layersHeld()) * s.batch + canvas) * s.kvHeads + group; }
  Packed keysOf(int64_t layer, int64_t canvas, int64_t group) const { return keysAt(keys + groupAt(layer, canvas, group) * keysAt(nullptr).elements()); }
  Packed valuesOf(int64_t layer, int64_t canvas, int64_t group) const { return valuesAt(values + groupAt(layer, canvas, group) * valuesAt(nullptr).elements()); }

  /** Room that all calls share, or a cache: first the keys, then the values. A part writes to the cache that it is given, always the same rows before it reads any. */
  void findKeysAndValues(Call& call) {
    const int64_t keyElements = groupsHeld() * keysAt(nullptr).elements(), valueElements = groupsHeld() * valuesAt(nullptr).elements();
    if (kind == Pass::kWhole) {
      keys = keyRoom.room<Element>(keyElements);
      values = valueRoom.room<Element>(valueElements);
      return;
    }
    if (kind == Pass::kPart) {
      const int64_t found = elementsOf(call.shape(kCache));
      if (found != keyElements + valueElements) call.require(false, "network: expected a cache of " + std::to_string(keyElements + valueElements) + " elements, found " + std::to_string(found));
      keys = call.input<Element>(kCache);
    } else {
      keys = reinterpret_cast<Element*>(call.output(1, {keyElements + valueElements}));
    }
    values = keys + keyElements;
  }

  void checkTokensAndRows(Call& call) const {
    const int32_t* end = tokens + s.batch * s.length;
    const int32_t* odd = std::find_if(tokens, end, [&](int32_t token) { return token < 0 || token >= s.vocabulary; });
    if (odd != end) call.require(false, "network: expected tokens from 0 to " + std::to_string(s.vocabulary - 1) + ", found " + std::to_string(*odd));
    const int32_t* far = std::find_if(rows, rows + rowCount, [&](int32_t row) { return row >= s.batch * s.length; });
    if (far != rows + rowCount) call.require(false, "network: expected rows below " + std::to_string(s.batch * s.length) + ", found " + std::to_string(*far));
  }

  /** Blocks of about equal size, cut where no pair of rows is. A canvas of which no row is wanted has none, unless it is to be cached. */
  void gatherBlocks(Call& call) {
    if (call.failed()) return;
    std::vector<bool> isWanted(s.batch, kind == Pass::kOpening);
    for (int64_t row = 0; row < rowCount; row++) {
      if (rows[row] >= 0) isWanted[rows[row] / s.length] = true;
    }
    const int32_t* spans = kind == Pass::kPart ? call.input<int32_t>(kSpans) : nullptr;
    for (int64_t canvas = 0; canvas < s.batch; canvas++) {
      const int64_t start = spans == nullptr ? 0 : spans[2 * canvas], stop = spans == nullptr ? s.length : spans[2 * canvas + 1];
      if (start < 0 || start > stop || stop > s.length) {
        call.require(false, "network: expected spans within 0 and " + std::to_string(s.length) + ", found " + std::to_string(start) + " to " + std::to_string(stop));
        return;
      }
      const int64_t even = start / 2 * 2, pieces = start < stop && isWanted[canvas] ? (stop - even + kBlockRows - 1) / kBlockRows : 0;
      const auto cut = [&](int64_t piece) { return piece == pieces ? stop : std::max(start, even + roundUp(piece * (stop - even) / pieces, 2)); };
      const size_t firstBlock = blocks.size();
      for (int64_t piece = 0; piece < pieces; piece++) blocks.push_back({canvas, cut(piece), cut(piece + 1) - cut(piece)});
      blocksOf.push_back({firstBlock, blocks.size()});
    }
  }

  /** Rows below 0 are none, and those of canvases whose span is empty. */
  bool isNone(int32_t row) const { return row < 0 || blocksOf[row / s.length].first == blocksOf[row / s.length].second; }

  /** Blocks of wanted rows of one canvas each. */
  void gatherWanted(Call& call) {
    if (call.failed()) return;
    std::vector<std::vector<int64_t>> byCanvas(s.batch);
    for (int64_t row = 0; row < rowCount; row++) {
      if (isNone(rows[row])) continue;
      const int64_t canvas = rows[row] / s.length, position = rows[row] % s.length;
      const Block &first = blocks[blocksOf[canvas].first], &last = blocks[blocksOf[canvas].second - 1];
      if (position < first.first || position >= last.first + last.count) {
        call.require(false, "network: expected rows within the span of their canvas, found row " + std::to_string(position) + " of canvas " + std::to_string(canvas));
        return;
      }
      byCanvas[canvas].push_back(row);
    }
    for (int64_t canvas = 0; canvas < s.batch; canvas++) {
      const auto& indices = byCanvas[canvas];
      for (size_t start = 0; start < indices.size(); start += kBlockRows) {
        wanted.push_back({canvas, {indices.begin() + start, indices.begin() + std::min(indices.size(), start + kBlockRows)}});
      }
    }
  }

  void embed(int64_t block) const {
    const auto [canvas, first, count] = blocks[block];
    float* target = hiddenAt(block);
    for (int64_t row = 0; row < count; row++, target += rowRoom(s.hidden)) {
      const float* source = weights.embedding + tokens[canvas * s.length + first + row] * s.hidden;
      std::copy(source, source + s.hidden, target);
      std::fill(target + s.hidden, target + rowRoom(s.hidden), 0.0f);
    }
  }

  /** Zhang and Sennrich, arXiv:1910.07467, eq. 4. */
  Left norm(const float* x, int64_t rowCount, const float* scale) const {
    const Left normed{normedRoom.room<Element>(kBlockRows * rowRoom(s.hidden)), s.hidden};
    for (int64_t row = 0; row < rowCount; row++, x += rowRoom(s.hidden)) {
      Vector squares{};
      forEachRun(s.hidden, [&](int64_t i, auto get, auto) { squares += get(x + i) * get(x + i); });
      const float factor = 1.0f / std::sqrt(sumOf(squares) / static_cast<float>(s.hidden) + s.epsilon);
      forEachRun(s.hidden, [&](int64_t i, auto get, auto) { normed.put(row, i, get(x + i) * factor * get(scale + i)); });
      normed.close(row);
    }
    return normed;
  }

  /** [kBlockRows, rowRoom(columns)] */
  const float* projectionOf(const Left& normed, int64_t rowCount, const Weight<Operands>& weight) const {
    const int64_t room = rowRoom(weight.columns);
    float* projected = projectedRoom.room(kBlockRows * room);
    multiplyPacked(normed, rowCount, weight, projected, room);
    return projected;
  }

  /** Queries, keys and values of a layer. */
  void project(int64_t layer, int64_t block) const {
    const Layer<Operands>& layerWeights = weights.layers[layer];
    const auto [canvas, first, count] = blocks[block];
    const int64_t valueRowRoom = rowRoom(s.valueColumns());
    const Left normed = norm(hiddenAt(block), count, layerWeights.inputNorm);

    const float* projected = projectionOf(normed, count, layerWeights.query);
    for (int64_t row = 0; row < count; row++) {
      for (int64_t head = 0; head < s.heads; head++) {
        rotate(projected + row * rowRoom(s.queryColumns()) + head * s.width, layerWeights.queryBias + head * s.width, first + row, 1 / std::sqrt(static_cast<float>(s.width)), headOf(queriesAt(block), head), row);
      }
    }

    projected = projectionOf(normed, count, layerWeights.key);
    const Left key{keyRowRoom.room<Element>(rowRoom(s.width)), s.width};
    for (int64_t row = 0; row < count; row++) {
      for (int64_t group = 0; group < s.kvHeads; group++) {
        rotate(projected + row * valueRowRoom + group * s.width, layerWeights.keyBias + group * s.width, first + row, 1, key, 0);
        keysOf(layer, canvas, group).putColumn(first + row, key.row(0));
      }
    }

    projected = projectionOf(normed, count, layerWeights.value);
    for (int64_t group = 0; group < s.kvHeads; group++) {
      const Packed target = valuesOf(layer, canvas, group);
      for (int64_t row = 0; row < count; row++) {
        const float *x = projected + row * valueRowRoom + group * s.width, *bias = layerWeights.valueBias + group * s.width;
        forEachRun(s.width, [&](int64_t i, auto get, auto) { target.putRow(first + row, i, get(x + i) + get(bias + i)); });
      }
      if (first + count < s.length) continue;
      for (int64_t row = s.length; row < Operands::depth(s.length) * Operands::kValues; row++) {
        for (int64_t i = 0; i < s.width; i += kLanes) target.putRow(row, i, Vector{});
      }
    }
  }

  /** One head's row with its bias, turned by position and times `factor`. Su et al., arXiv:2104.09864, eq. 34. */
  void rotate(const float* x, const float* bias, int64_t position, float factor, const Left& target, int64_t row) const {
    const int64_t half = s.width / 2;
    const float *turn = cos + position * s.width, *cross = sin + position * s.width;
    const auto turnHalf = [&](int64_t own, int64_t other) {
      forEachRun(half, [&](int64_t i, auto get, auto) {
        const Vector same = get(x + own + i) + get(bias + own + i), opposite = get(x + other + i) + get(bias + other + i);
        target.put(row, own + i, (same * get(turn + own + i) + opposite * get(cross + own + i)) * factor);
      });
    };
    turnHalf(0, half);
    turnHalf(half, 0);
    target.close(row);
  }

  /** A layer from its attention on, over rows of one canvas whose state is `x`. */
  void passLayer(int64_t layer, int64_t canvas, int64_t count, Element* blockQueries, float* x) const {
    const Layer<Operands>& layerWeights = weights.layers[layer];
    addProduct(attend(layer, canvas, count, blockQueries), count, layerWeights.output, x);
    addProduct(gated(norm(x, count, layerWeights.innerNorm), count, layerWeights), count, layerWeights.down, x);
  }

  void addProduct(const Left& left, int64_t count, const Weight<Operands>& weight, float* x) const {
    multiplyPacked(left, count, weight, [&](int64_t column, const float* tile) {
      for (int64_t row = 0; row < count; row++) {
        float* target = x + row * rowRoom(s.hidden) + column;
        for (int64_t i = 0; i < kTileColumns; i += kLanes) store(target + i, load(target + i) + load(tile + row * kTileColumns + i));
      }
    });
  }

  /** Mixed values of all heads, [count, Q D]. */
  Left attend(int64_t layer, int64_t canvas, int64_t count, Element* blockQueries) const {
    const int64_t scoreStride = rowRoom(s.length);
    const Left mixed{mixedRoom.room<Element>(kBlockRows * rowRoom(s.queryColumns())), s.queryColumns()};
    const Left shares{weightRoom.room<Element>(kBlockRows * rowRoom(s.length)), s.length};
    float* scores = scoreRoom.room(kBlockRows * scoreStride);
    for (int64_t head = 0; head < s.heads; head++) {
      const int64_t group = head / (s.heads / s.kvHeads);
      multiplyPacked(headOf(blockQueries, head), count, keysOf(layer, canvas, group), scores, scoreStride);
      float total[kBlockRows];
      for (int64_t row = 0; row < count; row++) total[row] = exponentials(scores + row * scoreStride, shares, row);
      multiplyPacked(shares, count, valuesOf(layer, canvas, group), [&](int64_t column, const float* tile) {
        for (int64_t row = 0; row < count; row++) {
          for (int64_t i = 0; i < kTileColumns; i += kLanes) mixed.put(row, head * s.width + column + i, load(tile + row * kTileColumns + i) * (1 / total[row]));
        }
      });
    }
    for (int64_t row = 0; row < count; row++) mixed.close(row);
    return mixed;
  }

  /** exp(score - largest score) of a row; returns their sum. */
  float exponentials(const float* scores, const Left& shares, int64_t row) const {
    const float largest = largestOf(scores, s.length);
    Vector sum{};
    const auto add = [&](int64_t i, Vector run) {
      const Vector power = exponential(run - largest);
      shares.put(row, i, power);
      sum += power;
    };
    const int64_t whole = s.length / kLanes * kLanes;
    for (int64_t i = 0; i < whole; i += kLanes) add(i, load(scores + i));
    if (whole < s.length) add(whole, loadSome(scores + whole, s.length - whole, -std::numeric_limits<float>::infinity()));
    shares.close(row);
    return sumOf(sum);
  }

  /** Shazeer, arXiv:2002.05202, eq. 6: [count, F]. */
  Left gated(const Left& normed, int64_t count, const Layer<Operands>& layerWeights) const {
    const Left result{gatedRoom.room<Element>(kBlockRows * rowRoom(s.inner)), s.inner};
    alignas(64) float up[kBlockRows * kTileColumns];
    multiplyPacked(normed, count, layerWeights.gate, [&](int64_t column, const float* gate) {
      multiplyPanel(normed, count, layerWeights.up, column / kTileColumns, up);
      for (int64_t row = 0; row < count; row++) {
        for (int64_t i = row * kTileColumns; i < (row + 1) * kTileColumns; i += kLanes) {
          result.put(row, column + i - row * kTileColumns, load(gate + i) * sigmoid(load(gate + i)) * load(up + i));
        }
      }
    });
    for (int64_t row = 0; row < count; row++) result.close(row);
    return result;
  }

  /** The block that a row of a canvas is in, and its place there. */
  std::pair<int64_t, int64_t> placeOf(int32_t row) const {
    const int64_t position = row % s.length;
    size_t block = blocksOf[row / s.length].first;
    while (position >= blocks[block].first + blocks[block].count) block++;
    return {static_cast<int64_t>(block), position - blocks[block].first};
  }

  /** The last layer and the head, for rows that are wanted. */
  void finish(const WantedRows& wanted, float* logits) const {
    const int64_t count = static_cast<int64_t>(wanted.indices.size()), room = rowRoom(s.hidden);
    float* x = lastHiddenRoom.room(kBlockRows * room);
    Element* blockQueries = lastQueryRoom.room<Element>(queryElements());
    for (int64_t row = 0; row < count; row++) {
      const auto [block, from] = placeOf(rows[wanted.indices[row]]);
      std::memcpy(x + row * room, hiddenAt(block) + from * room, room * sizeof(float));
      for (int64_t head = 0; head < s.heads; head++) {
        const Left source = headOf(queriesAt(block), head), target = headOf(blockQueries, head);
        std::memcpy(target.row(row), source.row(from), source.stride() * sizeof(Element));
      }
    }
    passLayer(s.layers - 1, wanted.canvas, count, blockQueries, x);
    multiplyPacked(norm(x, count, weights.norm), count, weights.head, [&](int64_t column, const float* tile) {
      for (int64_t row = 0; row < count; row++) {
        float* target = logits + wanted.indices[row] * s.vocabulary + column;
        std::memcpy(target, tile + row * kTileColumns, std::min<int64_t>(kTileColumns, s.vocabulary - column) * sizeof(float));
      }
    });
  }
};

template <Pass kPass>
struct Network {
  Sizes given;
  bool isRounded;
  explicit Network(Attributes attributes)
      : given{attributes.integer("heads"), attributes.integer("kv_heads"), attributes.integer("inner"), attributes.integer("layers"), attributes.real("epsilon")}, isRounded(attributes.integer("rounded") == 1) {}

  void operator()(Call& call) const {
    Sizes sizes = given;
    const Shape tokens = call.shape(0), tables = call.shape(2), embedding = call.shape(firstWeight(kPass));
    sizes.batch = tokens[0];
    sizes.length = tokens[1];
    sizes.width = tables[1];
    sizes.vocabulary = embedding[0];
    sizes.hidden = embedding[1];
    const int expected = static_cast<int>(firstWeight(kPass) + 1 + 12 * sizes.layers + 2);
    if (!call.require(call.inputCount() == expected, "network: expected " + std::to_string(expected) + " inputs, found " + std::to_string(call.inputCount()))) return;
    const bool isKnown = withPackedOperands(isRounded, [&](auto operands) {
      ForwardPass<decltype(operands)> pass(call, kPass, sizes);
      if (!call.failed()) pass.run(call);
    });
    call.require(isKnown, "network: expected a CPU with AVX512_BF16 and kernels for it to multiply in bf16, found none; use fp32");
  }
};

template <Pass kPass>
void registerPass(const char* name, std::initializer_list<const char*> inputs, std::initializer_list<const char*> outputs) {
  registerKernel<Network<kPass>>({name, inputs, outputs, {"N: int >= 1", "heads: int", "kv_heads: int", "inner: int", "layers: int", "epsilon: float", "rounded: int = 0"}});
}

}  // namespace

void registerNetwork() {
  registerPass<Pass::kWhole>("DiffucoderNetwork", {"tokens: int32", "rows: int32", "cos: float", "sin: float", "weights: N * float"}, {"logits: float"});
  registerPass<Pass::kOpening>("DiffucoderNetworkOpening", {"tokens: int32", "rows: int32", "cos: float", "sin: float", "weights: N * float"}, {"logits: float", "cache: float"});
  registerPass<Pass::kPart>("DiffucoderNetworkPart", {"tokens: int32", "rows: int32", "cos: float", "sin: float", "spans: int32", "cache: float", "weights: N * float"}, {"logits: float"});
}

}  // namespace diffucoder
