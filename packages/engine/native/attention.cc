// Axes: B batch, T tokens per canvas, Q query heads, G key-value heads, D head width, W = (Q + 2G) D.
//
// Rotary grouped-query attention straight from the projections [B T, W] (queries, keys, values side by side) to the mixed
// values [B T, Q D]. One piece of work is one key-value head of one canvas: its keys and values are laid out once and serve all
// its query heads. Scores exist for a block of rows at a time; the backward pass computes them again from `log_sum`.
//
// Source: Dao et al., "FlashAttention", arXiv:2205.14135v2, algorithms 1 and 4 (whole rows at a time here: they fit the cache).
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <string_view>
#include <vector>

#include "kernel.h"
#include "kernels.h"
#include "matrix.h"
#include "parallel.h"

namespace diffucoder {

bool hasMatrixTiles() {
  // Linux keeps AMX's large registers from a process until it asks (arch_prctl with ARCH_REQ_XCOMP_PERM for XFEATURE_XTILEDATA).
  static const bool isPermitted = [] {
    const char* setting = std::getenv("DIFFUCODER_AMX");
    if (setting != nullptr && std::string_view(setting) == "off") return false;
    unsigned a, b, c, d;
    const bool isThere = __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d & bit_AMX_TILE) && (d & bit_AMX_BF16);
    return isThere && syscall(SYS_arch_prctl, 0x1023, 18) == 0;
  }();
  return isPermitted;
}

namespace {

constexpr int64_t kBlockRows = 64;

struct Geometry {
  int64_t heads, kvHeads, length;
  bool isRounded;
  int64_t batch = 0, width = 0, rowWidth = 0;

  explicit Geometry(Attributes attributes) : heads(attributes.integer("heads")), kvHeads(attributes.integer("kv_heads")), length(attributes.integer("length")), isRounded(attributes.integer("rounded") == 1) {}

  Geometry of(const Shape& projected) const {
    Geometry geometry = *this;
    geometry.rowWidth = projected[1];
    geometry.width = projected[1] / (heads + 2 * kvHeads);
    geometry.batch = projected[0] / length;
    return geometry;
  }

  int64_t queriesPerKey() const { return heads / kvHeads; }
  int64_t queryColumn(int64_t head) const { return head * width; }
  int64_t keyColumn(int64_t group) const { return (heads + group) * width; }
  int64_t valueColumn(int64_t group) const { return (heads + kvHeads + group) * width; }
  int64_t tokenStride() const { return paddedColumns(length) + kLanes; }  // off a power of two, which would share cache sets
  int64_t channelStride() const { return paddedColumns(width); }
};

/** The operands that every piece of work reads. */
struct Projections {
  Geometry geometry;
  Numbers projected;
  const float *bias, *cos, *sin, *mask;

  Projections(const Call& call, const Geometry& shape)
      : geometry(shape), projected(call.numbers(0)), bias(call.input(1)), cos(call.input(2)), sin(call.input(3)), mask(elementsOf(call.shape(4)) == 0 ? nullptr : call.input(4)) {}

  Numbers rows(int64_t canvas) const { return projected + canvas * geometry.length * geometry.rowWidth; }
};

enum Slot {
  kKeys, kKeysAcross, kValues, kValuesAcross, kQueries, kScores, kSlopes, kMixed, kQuerySlopes, kKeySlopes, kValueSlopes, kOutputSlopes, kDeltas,
  kPairedKeys, kPairedKeysAcross, kPairedValues, kPairedValuesAcross, kPairedQueries, kPairedOutputSlopes, kPairedLeft, kSlotCount
};

/** Room for one thread's matrices. */
float* scratch(Slot slot, int64_t count) {
  thread_local std::vector<float> rooms[kSlotCount];
  std::vector<float>& room = rooms[slot];
  if (static_cast<int64_t>(room.size()) < count) room.resize(count);
  return room.data();
}

/** Operands of matrix products as they are. */
struct Exact {
  static int64_t depth(int64_t columns) { return columns; }
  /** [rows, depth] on the left. */
  static Left left(const float* matrix, int64_t, int64_t, int64_t stride) { return {matrix, stride, 1}; }
  /** [depth, rows] on the left, transposed. */
  static Left leftAcross(const float* matrix, int64_t, int64_t, int64_t stride) { return {matrix, 1, stride}; }
  /** [depth, columns] on the right. */
  static const float* right(Slot, const float* matrix, int64_t, int64_t, int64_t) { return matrix; }
};

#ifdef __AVX512BF16__
/** Operands rounded to bf16, as the bf16 pass rounds those of every matrix product. */
struct Rounded {
  static int64_t depth(int64_t columns) { return (columns + 1) / 2; }
  static LeftPairs left(const float* matrix, int64_t rows, int64_t columns, int64_t stride) {
    uint32_t* pairs = paired(kPairedLeft, rows * stride);
    pairAlongRows(matrix, rows, columns, stride, pairs, stride);
    return {pairs, stride, 1};
  }
  static LeftPairs leftAcross(const float* matrix, int64_t rows, int64_t columns, int64_t stride) {
    return {right(kPairedLeft, matrix, rows, columns, stride), 1, stride};
  }
  static const uint32_t* right(Slot slot, const float* matrix, int64_t rows, int64_t columns, int64_t stride) {
    uint32_t* pairs = paired(slot, depth(rows) * stride);
    pairAlongColumns(matrix, rows, columns, stride, pairs, stride);
    return pairs;
  }
  static uint32_t* paired(Slot slot, int64_t count) { return reinterpret_cast<uint32_t*>(scratch(slot, count)); }
};
#endif

/** [T, D] of one head with its bias, turned by position and times `factor`; unused columns are 0. Su et al., arXiv:2104.09864, eq. 34. */
void readRotated(const Projections& from, int64_t canvas, int64_t column, float factor, float* target) {
  const Geometry& g = from.geometry;
  const int64_t half = g.width / 2, stride = g.channelStride();
  const float* bias = from.bias + column;
  for (int64_t token = 0; token < g.length; token++) {
    const Numbers x = from.rows(canvas) + token * g.rowWidth + column;
    const float *cos = from.cos + token * g.width, *sin = from.sin + token * g.width;
    float* y = target + token * stride;
    forEachRun(half, [&](int64_t i, auto get, auto put) {
      const Vector first = get(x + i) + get(bias + i), second = get(x + half + i) + get(bias + half + i);
      put(y + i, (second * get(sin + i) + first * get(cos + i)) * factor);
      put(y + half + i, (first * get(sin + half + i) + second * get(cos + half + i)) * factor);
    });
    std::fill(y + g.width, y + stride, 0.0f);
  }
}

void readValues(const Projections& from, int64_t canvas, int64_t column, float* target) {
  const Geometry& g = from.geometry;
  const int64_t stride = g.channelStride();
  for (int64_t token = 0; token < g.length; token++) {
    const Numbers x = from.rows(canvas) + token * g.rowWidth + column;
    float* y = target + token * stride;
    forEachRun(g.width, [&](int64_t i, auto get, auto put) { put(y + i, get(x + i) + get(from.bias + column + i)); });
    std::fill(y + g.width, y + stride, 0.0f);
  }
}

/** [T, D] to [D, T]. */
void transpose(const Geometry& g, const float* source, float* target) {
  const int64_t stride = g.tokenStride(), from = g.channelStride();
  for (int64_t i = 0; i < g.width; i++) {
    for (int64_t token = 0; token < g.length; token++) target[i * stride + token] = source[token * from + i];
    std::fill(target + i * stride + g.length, target + (i + 1) * stride, 0.0f);
  }
}

/** Adds the mask to a row of scores. */
void addMask(const Projections& from, int64_t token, float* scores) {
  if (from.mask == nullptr) return;
  const float* mask = from.mask + token * from.geometry.length;
  forEachRun(from.geometry.length, [&](int64_t i, auto get, auto put) { put(scores + i, get(scores + i) + get(mask + i)); });
}

/** Scores to exp(score - shift), padding to 0; returns their sum. */
float exponentials(const Geometry& g, float shift, float* scores) {
  Vector sum{};
  const int64_t whole = g.length / kLanes * kLanes;
  for (int64_t i = 0; i < whole; i += kLanes) {
    const Vector power = exponential(load(scores + i) - shift);
    store(scores + i, power);
    sum += power;
  }
  if (whole < g.length) {
    const int64_t left = g.length - whole;
    const Vector power = exponential(loadSome(scores + whole, left, -std::numeric_limits<float>::infinity()) - shift);
    storeSome(scores + whole, power, left);
    sum += loadSome(scores + whole, left);
  }
  std::fill(scores + g.length, scores + paddedColumns(g.length), 0.0f);
  return sumOf(sum);
}

/** Calls `body` with the kind of operands that the node asks for. */
template <typename Body>
void withOperands(Call& call, const Geometry& geometry, Body body) {
  if (!geometry.isRounded) return body(Exact());
#ifdef __AVX512BF16__
  if (__builtin_cpu_supports("avx512bf16")) return body(Rounded());
#endif
  call.require(false, "attention: expected a CPU with AVX512_BF16 for operands in bf16, found none; use fp32");
}

struct Attention {
  Geometry shape;
  explicit Attention(Attributes attributes) : shape(attributes) {}

  void operator()(Call& call) const {
    const Geometry g = shape.of(call.shape(0));
    const Projections from(call, g);
    float* mixed = call.output(0, {g.batch * g.length, g.heads * g.width});
    float* logSum = call.output(1, {g.batch, g.heads, g.length});
    if (call.failed()) return;
    withOperands(call, g, [&](auto operands) {
      parallelFor(g.batch * g.kvHeads, [&](int64_t piece) { attend<decltype(operands)>(from, piece / g.kvHeads, piece % g.kvHeads, mixed, logSum); });
    });
  }

  template <typename Operands>
  static void attend(const Projections& from, int64_t canvas, int64_t group, float* mixed, float* logSum) {
    const Geometry& g = from.geometry;
    const int64_t across = g.tokenStride(), along = g.channelStride();
    float *keys = scratch(kKeys, g.length * along), *keysAcross = scratch(kKeysAcross, g.width * across), *values = scratch(kValues, g.length * along);
    float *queries = scratch(kQueries, g.length * along), *scores = scratch(kScores, kBlockRows * across), *sums = scratch(kMixed, kBlockRows * along);
    readRotated(from, canvas, g.keyColumn(group), 1.0f, keys);
    transpose(g, keys, keysAcross);
    readValues(from, canvas, g.valueColumn(group), values);
    const auto rightKeysAcross = Operands::right(kPairedKeysAcross, keysAcross, g.width, g.length, across), rightValues = Operands::right(kPairedValues, values, g.length, g.width, along);
    const int64_t width = Operands::depth(g.width), length = Operands::depth(g.length);
    for (int64_t head = group * g.queriesPerKey(); head < (group + 1) * g.queriesPerKey(); head++) {
      readRotated(from, canvas, g.queryColumn(head), 1.0f / std::sqrt(static_cast<float>(g.width)), queries);
      for (int64_t start = 0; start < g.length; start += kBlockRows) {
        const int64_t rows = std::min(kBlockRows, g.length - start);
        multiply<false>(rows, g.length, width, Operands::left(queries + start * along, rows, g.width, along), rightKeysAcross, across, scores, across);
        float total[kBlockRows];
        for (int64_t row = 0; row < rows; row++) {
          float* line = scores + row * across;
          addMask(from, start + row, line);
          const float shift = largestOf(line, g.length);
          total[row] = exponentials(g, shift, line);
          logSum[(canvas * g.heads + head) * g.length + start + row] = shift + std::log(total[row]);
        }
        multiply<false>(rows, g.width, length, Operands::left(scores, rows, g.length, across), rightValues, along, sums, along);
        for (int64_t row = 0; row < rows; row++) {
          float* target = mixed + ((canvas * g.length + start + row) * g.heads + head) * g.width;
          forEachRun(g.width, [&](int64_t i, auto get, auto put) { put(target + i, get(sums + row * along + i) / total[row]); });
        }
      }
    }
  }
};

struct AttentionGradient {
  Geometry shape;
  TF_DataType type;
  explicit AttentionGradient(Attributes attributes) : shape(attributes), type(attributes.dtype("d_projected_type")) {}

  void operator()(Call& call) const {
    const Geometry g = shape.of(call.shape(0));
    const Projections from(call, g);
    const float *mixed = call.input(5), *logSum = call.input(6);
    const Numbers dMixed = call.numbers(7), dProjected = call.output(0, call.shape(0), type);
    float* dBias = call.output(1, {g.rowWidth});
    if (call.failed()) return;
    std::vector<float> biasShares(g.batch * g.rowWidth);
    withOperands(call, g, [&](auto operands) {
      parallelFor(g.batch * g.kvHeads, [&](int64_t piece) {
        const int64_t canvas = piece / g.kvHeads;
        differentiate<decltype(operands)>(from, canvas, piece % g.kvHeads, mixed, logSum, dMixed, dProjected, biasShares.data() + canvas * g.rowWidth);
      });
    });
    sumRows(biasShares.data(), g.batch, g.rowWidth, dBias);
  }

  template <typename Operands>
  static void differentiate(const Projections& from, int64_t canvas, int64_t group, const float* mixed, const float* logSum, Numbers dMixed, Numbers dProjected, float* dBias) {
    const Geometry& g = from.geometry;
    const int64_t across = g.tokenStride(), along = g.channelStride();
    float *keys = scratch(kKeys, g.length * along), *keysAcross = scratch(kKeysAcross, g.width * across);
    float *values = scratch(kValues, g.length * along), *valuesAcross = scratch(kValuesAcross, g.width * across);
    float *queries = scratch(kQueries, g.length * along), *dOutput = scratch(kOutputSlopes, g.length * along), *deltas = scratch(kDeltas, g.length);
    float *scores = scratch(kScores, kBlockRows * across), *slopes = scratch(kSlopes, kBlockRows * across);
    float *dQueries = scratch(kQuerySlopes, g.length * along), *dKeys = scratch(kKeySlopes, g.length * along), *dValues = scratch(kValueSlopes, g.length * along);
    const float scale = 1.0f / std::sqrt(static_cast<float>(g.width));
    readRotated(from, canvas, g.keyColumn(group), 1.0f, keys);
    transpose(g, keys, keysAcross);
    readValues(from, canvas, g.valueColumn(group), values);
    transpose(g, values, valuesAcross);
    const auto rightKeys = Operands::right(kPairedKeys, keys, g.length, g.width, along), rightKeysAcross = Operands::right(kPairedKeysAcross, keysAcross, g.width, g.length, across);
    const auto rightValuesAcross = Operands::right(kPairedValuesAcross, valuesAcross, g.width, g.length, across);
    const int64_t width = Operands::depth(g.width), length = Operands::depth(g.length);
    std::fill(dKeys, dKeys + g.length * along, 0.0f);
    std::fill(dValues, dValues + g.length * along, 0.0f);
    for (int64_t head = group * g.queriesPerKey(); head < (group + 1) * g.queriesPerKey(); head++) {
      readRotated(from, canvas, g.queryColumn(head), scale, queries);
      readSlopes(g, canvas, head, mixed, dMixed, dOutput, deltas);
      const float* logSums = logSum + (canvas * g.heads + head) * g.length;
      for (int64_t start = 0; start < g.length; start += kBlockRows) {
        const int64_t rows = std::min(kBlockRows, g.length - start);
        const float *blockQueries = queries + start * along, *blockSlopes = dOutput + start * along;
        multiply<false>(rows, g.length, width, Operands::left(blockQueries, rows, g.width, along), rightKeysAcross, across, scores, across);
        multiply<false>(rows, g.length, width, Operands::left(blockSlopes, rows, g.width, along), rightValuesAcross, across, slopes, across);
        for (int64_t row = 0; row < rows; row++) {
          float *line = scores + row * across, *slope = slopes + row * across;
          addMask(from, start + row, line);
          exponentials(g, logSums[start + row], line);
          forEachRun(g.length, [&](int64_t i, auto get, auto put) { put(slope + i, get(line + i) * (get(slope + i) - deltas[start + row])); });
        }
        const int64_t depth = Operands::depth(rows);
        multiply<true>(g.length, g.width, depth, Operands::leftAcross(scores, rows, g.length, across), Operands::right(kPairedOutputSlopes, blockSlopes, rows, g.width, along), along, dValues, along);
        multiply<true>(g.length, g.width, depth, Operands::leftAcross(slopes, rows, g.length, across), Operands::right(kPairedQueries, blockQueries, rows, g.width, along), along, dKeys, along);
        multiply<false>(rows, g.width, length, Operands::left(slopes, rows, g.length, across), rightKeys, along, dQueries + start * along, along);
      }
      writeRotated(from, canvas, g.queryColumn(head), scale, dQueries, dProjected, dBias);
    }
    writeRotated(from, canvas, g.keyColumn(group), 1.0f, dKeys, dProjected, dBias);
    writeValues(g, canvas, g.valueColumn(group), dValues, dProjected, dBias);
  }

  /** The slopes of one head's output, and for each row their product with the output, which softmax's gradient subtracts. */
  static void readSlopes(const Geometry& g, int64_t canvas, int64_t head, const float* mixed, Numbers dMixed, float* dOutput, float* deltas) {
    for (int64_t token = 0; token < g.length; token++) {
      const int64_t offset = ((canvas * g.length + token) * g.heads + head) * g.width;
      float* row = dOutput + token * g.channelStride();
      std::fill(row + g.width, row + g.channelStride(), 0.0f);
      Vector products{};
      forEachRun(g.width, [&](int64_t i, auto get, auto put) {
        const Vector slope = get(dMixed + offset + i);
        put(row + i, slope);
        products += get(mixed + offset + i) * slope;
      });
      deltas[token] = sumOf(products);
    }
  }

  /** The transpose of `readRotated`. */
  static void writeRotated(const Projections& from, int64_t canvas, int64_t column, float factor, const float* slopes, Numbers dProjected, float* dBias) {
    const Geometry& g = from.geometry;
    const int64_t half = g.width / 2;
    std::fill(dBias + column, dBias + column + g.width, 0.0f);
    for (int64_t token = 0; token < g.length; token++) {
      const float *dy = slopes + token * g.channelStride(), *cos = from.cos + token * g.width, *sin = from.sin + token * g.width;
      const Numbers dx = dProjected + (canvas * g.length + token) * g.rowWidth + column;
      forEachRun(half, [&](int64_t i, auto get, auto put) {
        const Vector first = get(dy + i), second = get(dy + half + i);
        const Vector dFirst = (second * get(sin + half + i) + first * get(cos + i)) * factor;
        const Vector dSecond = (first * get(sin + i) + second * get(cos + half + i)) * factor;
        put(dx + i, dFirst);
        put(dx + half + i, dSecond);
        put(dBias + column + i, get(dBias + column + i) + dFirst);
        put(dBias + column + half + i, get(dBias + column + half + i) + dSecond);
      });
    }
  }

  static void writeValues(const Geometry& g, int64_t canvas, int64_t column, const float* slopes, Numbers dProjected, float* dBias) {
    std::fill(dBias + column, dBias + column + g.width, 0.0f);
    for (int64_t token = 0; token < g.length; token++) {
      const float* dy = slopes + token * g.channelStride();
      const Numbers dx = dProjected + (canvas * g.length + token) * g.rowWidth + column;
      forEachRun(g.width, [&](int64_t i, auto get, auto put) {
        put(dx + i, get(dy + i));
        put(dBias + column + i, get(dBias + column + i) + get(dy + i));
      });
    }
  }
};

}  // namespace

void registerAttention() {
  const std::initializer_list<const char*> geometry = {"heads: int", "kv_heads: int", "length: int", "rounded: int = 0"};
  registerKernel<Attention>({"DiffucoderAttention", {"projected: real", "bias: float", "cos: float", "sin: float", "mask: float"}, {"mixed: float", "log_sum: float"}, geometry});
  registerKernel<AttentionGradient>({"DiffucoderAttentionGradient",
                                     {"projected: real", "bias: float", "cos: float", "sin: float", "mask: float", "mixed: float", "log_sum: float", "d_mixed: real"},
                                     {"d_projected: real", "d_bias: float"},
                                     geometry});
}

}  // namespace diffucoder
