// Small matrix products out of the cache of one core.
#pragma once
#include <cstdint>

#include "vector.h"

namespace diffucoder {

#ifdef __AVX512F__
constexpr int kTileRows = 8, kTileVectors = 2;  // 16 of 32 registers hold sums
#else
constexpr int kTileRows = 6, kTileVectors = 1;  // 12 of 16
#endif
constexpr int kTileColumns = kTileVectors * kLanes;

/** Columns rounded up to whole tiles. */
inline int64_t paddedColumns(int64_t columns) { return (columns + kTileColumns - 1) / kTileColumns * kTileColumns; }

/** Left operand: element (row, k) lies at data[row * rowStride + k * depthStride]. */
struct Left {
  const float* data;
  int64_t rowStride, depthStride;
};

template <int Rows, bool IsAdded>
inline void multiplyTile(Left left, const float* right, int64_t rightStride, float* result, int64_t resultStride, int64_t depth) {
  Vector sums[Rows][kTileVectors];
  for (int row = 0; row < Rows; row++) {
    for (int v = 0; v < kTileVectors; v++) sums[row][v] = IsAdded ? load(result + row * resultStride + v * kLanes) : Vector{};
  }
  for (int64_t k = 0; k < depth; k++) {
    Vector columns[kTileVectors];
    for (int v = 0; v < kTileVectors; v++) columns[v] = load(right + k * rightStride + v * kLanes);
    for (int row = 0; row < Rows; row++) {
      const float factor = left.data[row * left.rowStride + k * left.depthStride];
      for (int v = 0; v < kTileVectors; v++) sums[row][v] += factor * columns[v];
    }
  }
  for (int row = 0; row < Rows; row++) {
    for (int v = 0; v < kTileVectors; v++) store(result + row * resultStride + v * kLanes, sums[row][v]);
  }
}

template <int Rows, bool IsAdded>
inline void multiplyTiles(int rows, Left left, const float* right, int64_t rightStride, float* result, int64_t resultStride, int64_t depth, int64_t columns) {
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
template <bool IsAdded>
inline void multiply(int64_t rows, int64_t columns, int64_t depth, Left left, const float* right, int64_t rightStride, float* result, int64_t resultStride) {
  for (int64_t row = 0; row < rows; row += kTileRows) {
    const int count = static_cast<int>(rows - row < kTileRows ? rows - row : kTileRows);
    const Left tile{left.data + row * left.rowStride, left.rowStride, left.depthStride};
    multiplyTiles<kTileRows, IsAdded>(count, tile, right, rightStride, result + row * resultStride, resultStride, depth, columns);
  }
}

}  // namespace diffucoder
