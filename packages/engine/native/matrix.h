// Small matrix products out of the cache of one core, of fp32 numbers or of pairs of bf16 numbers.
#pragma once
#ifdef __AVX512BF16__
#include <immintrin.h>
#endif

#include <cstdint>

#include "vector.h"

namespace diffucoder {

#ifdef __AVX512F__
constexpr int kTileRows = 8;  // 16 of 32 registers hold sums
#else
constexpr int kTileRows = 6;  // 12 of 16
#endif
constexpr int kTileRegisters = 2;
constexpr int kTileColumns = kTileRegisters * kRegisterLanes;

/** Columns rounded up to whole tiles. */
inline int64_t paddedColumns(int64_t columns) { return (columns + kTileColumns - 1) / kTileColumns * kTileColumns; }

/** Left operand: element (row, k) lies at data[row * rowStride + k * depthStride]. */
struct Left {
  const float* data;
  int64_t rowStride, depthStride;
};

template <int Rows, bool IsAdded>
inline void multiplyTile(Left left, const float* right, int64_t rightStride, float* result, int64_t resultStride, int64_t depth) {
  Register sums[Rows][kTileRegisters];
  for (int row = 0; row < Rows; row++) {
    for (int r = 0; r < kTileRegisters; r++) sums[row][r] = IsAdded ? loadRegister(result + row * resultStride + r * kRegisterLanes) : Register{};
  }
  for (int64_t k = 0; k < depth; k++) {
    Register columns[kTileRegisters];
    for (int r = 0; r < kTileRegisters; r++) columns[r] = loadRegister(right + k * rightStride + r * kRegisterLanes);
    for (int row = 0; row < Rows; row++) {
      const float factor = left.data[row * left.rowStride + k * left.depthStride];
      for (int r = 0; r < kTileRegisters; r++) sums[row][r] += factor * columns[r];
    }
  }
  for (int row = 0; row < Rows; row++) {
    for (int r = 0; r < kTileRegisters; r++) storeRegister(result + row * resultStride + r * kRegisterLanes, sums[row][r]);
  }
}

/** Left operand of bf16 numbers: the pair of elements (row, 2k) and (row, 2k + 1) lies at data[row * rowStride + k * depthStride]. */
struct LeftPairs {
  const uint32_t* data;
  int64_t rowStride, depthStride;
};

#ifdef __AVX512BF16__
/** The same over pairs: `depth` counts them, and `right` holds those of rows 2k and 2k + 1. Sums are fp32. */
template <int Rows, bool IsAdded>
inline void multiplyTile(LeftPairs left, const uint32_t* right, int64_t rightStride, float* result, int64_t resultStride, int64_t depth) {
  __m512 sums[Rows][kTileRegisters];
  for (int row = 0; row < Rows; row++) {
    for (int r = 0; r < kTileRegisters; r++) sums[row][r] = IsAdded ? _mm512_loadu_ps(result + row * resultStride + r * kLanes) : _mm512_setzero_ps();
  }
  for (int64_t k = 0; k < depth; k++) {
    __m512i columns[kTileRegisters];
    for (int r = 0; r < kTileRegisters; r++) columns[r] = _mm512_loadu_si512(right + k * rightStride + r * kLanes);
    for (int row = 0; row < Rows; row++) {
      const __m512i factor = _mm512_set1_epi32(static_cast<int>(left.data[row * left.rowStride + k * left.depthStride]));
      for (int r = 0; r < kTileRegisters; r++) sums[row][r] = _mm512_dpbf16_ps(sums[row][r], (__m512bh)factor, (__m512bh)columns[r]);
    }
  }
  for (int row = 0; row < Rows; row++) {
    for (int r = 0; r < kTileRegisters; r++) _mm512_storeu_ps(result + row * resultStride + r * kLanes, sums[row][r]);
  }
}

/** [rows, columns] to the pairs of neighbours in a row; the source is 0 up to whole tiles. */
inline void pairAlongRows(const float* source, int64_t rows, int64_t columns, int64_t stride, uint32_t* target, int64_t targetStride) {
  for (int64_t row = 0; row < rows; row++) {
    for (int64_t i = 0; i < paddedColumns(columns); i += kLanes) {
      _mm256_storeu_si256((__m256i*)(target + row * targetStride + i / 2), (__m256i)_mm512_cvtneps_pbh(_mm512_loadu_ps(source + row * stride + i)));
    }
  }
}

/** [rows, columns] to the pairs of neighbours in a column; a last row without a partner is paired with 0. */
inline void pairAlongColumns(const float* source, int64_t rows, int64_t columns, int64_t stride, uint32_t* target, int64_t targetStride) {
  for (int64_t row = 0; row < rows; row += 2) {
    for (int64_t i = 0; i < paddedColumns(columns); i += kLanes) {
      const auto widened = [&](int64_t at) { return _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(_mm512_loadu_ps(source + at * stride + i))); };
      const __m512i high = row + 1 < rows ? _mm512_slli_epi32(widened(row + 1), 16) : _mm512_setzero_si512();
      _mm512_storeu_si512(target + row / 2 * targetStride + i, _mm512_or_si512(widened(row), high));
    }
  }
}
#endif

template <int Rows, bool IsAdded, typename LeftOperand, typename Element>
inline void multiplyTiles(int rows, LeftOperand left, const Element* right, int64_t rightStride, float* result, int64_t resultStride, int64_t depth, int64_t columns) {
  if constexpr (Rows > 1) {
    if (rows < Rows) return multiplyTiles<Rows - 1, IsAdded>(rows, left, right, rightStride, result, resultStride, depth, columns);
  }
  for (int64_t column = 0; column < columns; column += kTileColumns) {
    multiplyTile<Rows, IsAdded>(left, right + column, rightStride, result + column, resultStride, depth);
  }
}

/**
 * result = left right, or result += left right. Rows of `right` and `result` lie at their strides and have room for
 * `columns` rounded up to whole tiles.
 */
template <bool IsAdded, typename LeftOperand, typename Element>
inline void multiply(int64_t rows, int64_t columns, int64_t depth, LeftOperand left, const Element* right, int64_t rightStride, float* result, int64_t resultStride) {
  for (int64_t row = 0; row < rows; row += kTileRows) {
    const int count = static_cast<int>(rows - row < kTileRows ? rows - row : kTileRows);
    const LeftOperand tile{left.data + row * left.rowStride, left.rowStride, left.depthStride};
    multiplyTiles<kTileRows, IsAdded>(count, tile, right, rightStride, result + row * resultStride, resultStride, depth, columns);
  }
}

}  // namespace diffucoder
