// Matrix products with a right operand that was laid out for them beforehand.
//
// A packed matrix [depth, columns] lies in panels of kTileColumns columns, the last one filled up with zeros, so that a product
// reads it from front to back. There are three kinds of operands:
//   Exact    floats;                  a panel is [depth, kTileColumns]
//   Rounded  bf16 in pairs 2k, 2k+1;  a panel is [depth / 2, kTileColumns] pairs, depth rounded up to kDepthStep with zeros
//   Tiled    the same, multiplied by AMX
// The left operand is a block of up to kBlockRows rows, each a run of values; sums are fp32, and are added in the order of depth, so that a
// row's result does not depend on what other rows are there.
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstring>

#include "matrix.h"
#include "vector.h"

namespace diffucoder {

/** Rows that go through the products together: what is between them stays in the cache of a core. */
constexpr int64_t kBlockRows = 32;

/** Values that a tile of AMX is deep. */
constexpr int64_t kDepthStep = 32;

inline int64_t roundUp(int64_t count, int64_t step) { return (count + step - 1) / step * step; }

/** Values that a row of a left operand has room for: with one step to spare, also to keep rows off powers of two, which share cache sets. */
inline int64_t rowRoom(int64_t columns) { return roundUp(columns, kDepthStep) + kDepthStep; }

struct Exact {
  using Element = float;
  static constexpr int64_t kValues = 1;  // in an element

  /** What is set up while products are computed. */
  struct Session {};

  static int64_t depth(int64_t values) { return values; }

  /** Writes sixteen values of a row, from `column` on. */
  static void put(float* row, int64_t column, Vector values) { store(row + column, values); }

  /** Sixteen elements of a line that has `depth` numbers left, or one of each of `count` lines (lines.h); what is not there is 0. */
  static Vector alongLine(Numbers line, int64_t depth) { return depth >= kLanes ? load(line) : loadSome(line, depth); }
  static Vector acrossLines(Numbers lines, int64_t, int64_t depth, int64_t count) { return depth <= 0 ? Vector{} : count >= kLanes ? load(lines) : loadSome(lines, count); }

  template <bool IsAdded = false>
  static void multiplyPanel(const float* left, int64_t stride, int64_t rows, const float* panel, int64_t depth, float* result, int64_t resultStride = kTileColumns) {
    multiplyByVectors<IsAdded>(rows, kTileColumns, depth, Left{left, stride, 1}, panel, kTileColumns, result, resultStride);
  }

  /** Sixteen values of a row of a matrix, from `column` on, into their panel. */
  static void putInPanel(float* panel, int64_t row, int64_t column, Vector values) { store(panel + row * kTileColumns + column, values); }
};

#ifdef __AVX512BF16__
struct Rounded {
  using Element = uint32_t;
  static constexpr int64_t kValues = 2;
  struct Session {};

  static int64_t depth(int64_t values) { return roundUp(values, kDepthStep) / kValues; }

  static void put(uint32_t* row, int64_t column, Vector values) {
    const __m512 floats = _mm512_loadu_ps(reinterpret_cast<const float*>(&values));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(reinterpret_cast<char*>(row) + 2 * column), (__m256i)_mm512_cvtneps_pbh(floats));
  }

  static Vector alongLine(Numbers line, int64_t depth) { return pairsOf(halvesOf(line, depth), halvesOf(line + kLanes, depth - kLanes)); }
  static Vector acrossLines(Numbers lines, int64_t stride, int64_t depth, int64_t count) {
    const __m512i low = _mm512_cvtepu16_epi32(halvesOf(lines, depth > 0 ? count : 0)), high = _mm512_cvtepu16_epi32(halvesOf(lines + stride, depth > 1 ? count : 0));
    return vectorOf(_mm512_or_si512(low, _mm512_slli_epi32(high, 16)));
  }

  template <bool IsAdded = false>
  static void multiplyPanel(const uint32_t* left, int64_t stride, int64_t rows, const uint32_t* panel, int64_t depth, float* result, int64_t resultStride = kTileColumns) {
    multiplyByVectors<IsAdded>(rows, kTileColumns, depth, LeftPairs{left, stride, 1}, panel, kTileColumns, result, resultStride);
  }

  /** The other half of each pair stays as it is. */
  static void putInPanel(uint32_t* panel, int64_t row, int64_t column, Vector values) {
    uint32_t* pairs = panel + row / 2 * kTileColumns + column;
    const __m512 floats = _mm512_loadu_ps(reinterpret_cast<const float*>(&values));
    const __m512i half = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(floats)), old = _mm512_loadu_si512(pairs);
    const __m512i low = _mm512_set1_epi32(0xffff);
    const __m512i both = row % 2 == 0 ? _mm512_or_si512(_mm512_andnot_si512(low, old), half) : _mm512_or_si512(_mm512_and_si512(low, old), _mm512_slli_epi32(half, 16));
    _mm512_storeu_si512(pairs, both);
  }

 private:
  /** The first `count` of sixteen numbers in bf16; the others, which need not be there, are 0. */
  static __m256i halvesOf(Numbers source, int64_t count) {
    const __mmask16 mask = count >= kLanes ? 0xffff : count <= 0 ? 0 : (1 << count) - 1;
    if (source.isRounded) return _mm256_maskz_loadu_epi16(mask, source.data);
    return (__m256i)_mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(mask, source.data));
  }
  static Vector pairsOf(__m256i first, __m256i second) { return vectorOf(_mm512_inserti64x4(_mm512_castsi256_si512(first), second, 1)); }
  static Vector vectorOf(__m512i bits) {
    Vector vector;
    std::memcpy(&vector, &bits, sizeof bits);
    return vector;
  }
};
#endif

#ifdef __AVX512BF16__
struct Tiled : Rounded {
  using Session = MatrixTiles;

  /** All of a block's rows are computed, whether they are there or not. */
  template <bool IsAdded = false>
  static void multiplyPanel(const uint32_t* left, int64_t stride, int64_t, const uint32_t* panel, int64_t depth, float* result, int64_t resultStride = kTileColumns) {
    static_assert(kBlockRows == 2 * kMatrixTile && kTileColumns == 2 * kMatrixTile && kDepthStep == 2 * kMatrixTile);
    multiplyMatrixTiles<IsAdded, true>(left, stride, panel, kTileColumns, result, resultStride, depth);
  }
};
#endif

/** Calls `body` with the kind of operands that is asked for and fastest here; false where there is none. */
template <typename Body>
bool withPackedOperands(bool isRounded, Body body) {
  if (!isRounded) return body(Exact()), true;
#ifdef __AVX512BF16__
  if (hasMatrixTiles()) return body(Tiled()), true;
  if (__builtin_cpu_supports("avx512bf16")) return body(Rounded()), true;
#endif
  return false;
}

/** A block of rows on the left of a product. */
template <typename Operands>
struct LeftBlock {
  typename Operands::Element* data;
  int64_t columns;

  int64_t stride() const { return rowRoom(columns) / Operands::kValues; }
  auto* row(int64_t index) const { return data + index * stride(); }
  void put(int64_t index, int64_t column, Vector values) const { Operands::put(row(index), column, values); }

  /** Ends a row: the rest of its last step of depth is 0. */
  void close(int64_t index) const {
    constexpr int64_t size = sizeof(typename Operands::Element) / Operands::kValues;
    std::memset(reinterpret_cast<char*>(row(index)) + columns * size, 0, (roundUp(columns, kDepthStep) - columns) * size);
  }
};

/** A packed matrix; it may be written to where `Element` is not const. */
template <typename Operands, typename Element>
struct PackedMatrix {
  Element* data;
  int64_t depth, columns;

  int64_t panels() const { return (columns + kTileColumns - 1) / kTileColumns; }
  int64_t panelElements() const { return Operands::depth(depth) * kTileColumns; }
  int64_t elements() const { return panels() * panelElements(); }
  Element* panel(int64_t index) const { return data + index * panelElements(); }

  /** Writes one column from a closed row of a left operand. */
  void putColumn(int64_t column, const typename Operands::Element* values) const {
    Element* target = panel(column / kTileColumns) + column % kTileColumns;
    for (int64_t k = 0; k < Operands::depth(depth); k++) target[k * kTileColumns] = values[k];
  }

  /** Writes sixteen values of a row, from `column` on. Rows 2k and 2k + 1 share memory: they are not for two threads. */
  void putRow(int64_t row, int64_t column, Vector values) const { Operands::putInPanel(panel(column / kTileColumns), row, column % kTileColumns, values); }
};

/** One panel of left right, to [kBlockRows, kTileColumns] at a stride. */
template <typename Operands, typename Element>
inline void multiplyPanel(const LeftBlock<Operands>& left, int64_t rows, const PackedMatrix<Operands, Element>& right, int64_t panel, float* result, int64_t resultStride = kTileColumns) {
  Operands::multiplyPanel(left.data, left.stride(), rows, right.panel(panel), Operands::depth(right.depth), result, resultStride);
}

/** left right, to [kBlockRows, columns rounded up to whole panels] at a stride. */
template <typename Operands, typename Element>
inline void multiplyPacked(const LeftBlock<Operands>& left, int64_t rows, const PackedMatrix<Operands, Element>& right, float* result, int64_t resultStride) {
  for (int64_t panel = 0; panel < right.panels(); panel++) multiplyPanel(left, rows, right, panel, result + panel * kTileColumns, resultStride);
}

/** left right, panel by panel: calls `sink(first column, [kBlockRows, kTileColumns])`. */
template <typename Operands, typename Element, typename Sink>
inline void multiplyPacked(const LeftBlock<Operands>& left, int64_t rows, const PackedMatrix<Operands, Element>& right, Sink sink) {
  alignas(64) float tile[kBlockRows * kTileColumns];
  for (int64_t panel = 0; panel < right.panels(); panel++) {
    multiplyPanel(left, rows, right, panel, tile);
    sink(panel * kTileColumns, static_cast<const float*>(tile));
  }
}

}  // namespace diffucoder
