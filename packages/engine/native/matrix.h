// Small matrix products out of the cache of one core, of fp32 numbers or of pairs of bf16 numbers.
#pragma once
#ifdef __AVX512BF16__
#include <immintrin.h>
#endif

#include <cstdint>
#include <type_traits>
#include <vector>

#include "vector.h"

namespace diffucoder {

/** Whether this process may use AMX for products of bf16. */
bool hasMatrixTiles();

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

constexpr int64_t kMatrixTile = 16;  // rows of a tile of AMX, and pairs or sums in a row

/** [depth, rows] to [rows, depth], of pairs, whole tiles of both. */
inline void transposePairs(const uint32_t* source, int64_t stride, int64_t depth, int64_t rows, uint32_t* target) {
  for (int64_t k = 0; k < depth; k += kMatrixTile) {
    for (int64_t row = 0; row < rows; row += kMatrixTile) {
      __m512i a[16], b[16];
      for (int i = 0; i < 16; i++) a[i] = _mm512_loadu_si512(source + (k + i) * stride + row);
      for (int i = 0; i < 16; i += 2) {
        b[i] = _mm512_unpacklo_epi32(a[i], a[i + 1]);
        b[i + 1] = _mm512_unpackhi_epi32(a[i], a[i + 1]);
      }
      for (int i = 0; i < 16; i += 4) {
        for (int half = 0; half < 2; half++) {
          a[i + 2 * half] = _mm512_unpacklo_epi64(b[i + half], b[i + 2 + half]);
          a[i + 2 * half + 1] = _mm512_unpackhi_epi64(b[i + half], b[i + 2 + half]);
        }
      }
      // a[4 q + c] now holds, in its 128-bit lane l, rows 4 q to 4 q + 3 of column 4 l + c.
      for (int c = 0; c < 4; c++) {
        const __m512i low = _mm512_shuffle_i32x4(a[c], a[4 + c], 0x88), high = _mm512_shuffle_i32x4(a[c], a[4 + c], 0xdd);
        const __m512i low2 = _mm512_shuffle_i32x4(a[8 + c], a[12 + c], 0x88), high2 = _mm512_shuffle_i32x4(a[8 + c], a[12 + c], 0xdd);
        uint32_t* column = target + (row + c) * depth + k;
        _mm512_storeu_si512(column, _mm512_shuffle_i32x4(low, low2, 0x88));
        _mm512_storeu_si512(column + 4 * depth, _mm512_shuffle_i32x4(high, high2, 0x88));
        _mm512_storeu_si512(column + 8 * depth, _mm512_shuffle_i32x4(low, low2, 0xdd));
        _mm512_storeu_si512(column + 12 * depth, _mm512_shuffle_i32x4(high, high2, 0xdd));
      }
    }
  }
}

/** While it lives, the tiles of this thread are there, each as large as can be. Not to be nested. */
class MatrixTiles {
 public:
  MatrixTiles() {
    struct alignas(64) {
      uint8_t palette = 1, start = 0, reserved[14] = {};
      uint16_t rowBytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
      uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
    } const layout;
    letMemoryBeSeen();
    _tile_loadconfig(&layout);
  }
  ~MatrixTiles() { _tile_release(); }
  MatrixTiles(const MatrixTiles&) = delete;

  /** The intrinsics do not tell the compiler that they read and write memory. */
  static void letMemoryBeSeen() { __asm__ volatile("" ::: "memory"); }
};

/** Sums of two tiles of rows by two of columns, or of one by two. */
template <bool IsAdded, bool IsTwo>
inline void multiplyMatrixTiles(const uint32_t* left, int64_t leftStride, const uint32_t* right, int64_t rightStride, float* result, int64_t resultStride, int64_t depth) {
  MatrixTiles::letMemoryBeSeen();
  const int64_t leftBytes = 4 * leftStride, rightBytes = 4 * rightStride, resultBytes = 4 * resultStride;
  float* below = result + kMatrixTile * resultStride;
  if constexpr (IsAdded) {
    _tile_loadd(0, result, resultBytes);
    _tile_loadd(1, result + kMatrixTile, resultBytes);
    if constexpr (IsTwo) _tile_loadd(2, below, resultBytes);
    if constexpr (IsTwo) _tile_loadd(3, below + kMatrixTile, resultBytes);
  } else {
    _tile_zero(0);
    _tile_zero(1);
    if constexpr (IsTwo) _tile_zero(2);
    if constexpr (IsTwo) _tile_zero(3);
  }
  for (int64_t k = 0; k < depth; k += kMatrixTile) {
    _tile_loadd(4, left + k, leftBytes);
    _tile_loadd(6, right + k * rightStride, rightBytes);
    _tile_loadd(7, right + k * rightStride + kMatrixTile, rightBytes);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    if constexpr (IsTwo) {
      _tile_loadd(5, left + kMatrixTile * leftStride + k, leftBytes);
      _tile_dpbf16ps(2, 5, 6);
      _tile_dpbf16ps(3, 5, 7);
    }
  }
  _tile_stored(0, result, resultBytes);
  _tile_stored(1, result + kMatrixTile, resultBytes);
  if constexpr (IsTwo) _tile_stored(2, below, resultBytes);
  if constexpr (IsTwo) _tile_stored(3, below + kMatrixTile, resultBytes);
  MatrixTiles::letMemoryBeSeen();
}

/** `multiply` of pairs by AMX; rows and depth are whole tiles. */
template <bool IsAdded>
inline void multiplyByMatrixTiles(int64_t rows, int64_t columns, int64_t depth, LeftPairs left, const uint32_t* right, int64_t rightStride, float* result, int64_t resultStride) {
  thread_local std::vector<uint32_t> upright;
  if (left.depthStride != 1) {
    if (static_cast<int64_t>(upright.size()) < rows * depth) upright.resize(rows * depth);
    transposePairs(left.data, left.depthStride, depth, rows, upright.data());
    left = {upright.data(), depth, 1};
  }
  const MatrixTiles tiles;
  for (int64_t column = 0; column < columns; column += kTileColumns) {
    for (int64_t row = 0; row < rows; row += 2 * kMatrixTile) {
      const auto product = row + kMatrixTile < rows ? multiplyMatrixTiles<IsAdded, true> : multiplyMatrixTiles<IsAdded, false>;
      product(left.data + row * left.rowStride, left.rowStride, right + column, rightStride, result + row * resultStride + column, resultStride, depth);
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

/** `multiply` by vectors alone. */
template <bool IsAdded, typename LeftOperand, typename Element>
inline void multiplyByVectors(int64_t rows, int64_t columns, int64_t depth, LeftOperand left, const Element* right, int64_t rightStride, float* result, int64_t resultStride) {
  for (int64_t row = 0; row < rows; row += kTileRows) {
    const int count = static_cast<int>(rows - row < kTileRows ? rows - row : kTileRows);
    const LeftOperand tile{left.data + row * left.rowStride, left.rowStride, left.depthStride};
    multiplyTiles<kTileRows, IsAdded>(count, tile, right, rightStride, result + row * resultStride, resultStride, depth, columns);
  }
}

/**
 * result = left right, or result += left right. Rows of `right` and `result` lie at their strides and have room for
 * `columns` rounded up to whole tiles.
 */
template <bool IsAdded, typename LeftOperand, typename Element>
inline void multiply(int64_t rows, int64_t columns, int64_t depth, LeftOperand left, const Element* right, int64_t rightStride, float* result, int64_t resultStride) {
#ifdef __AVX512BF16__
  if constexpr (std::is_same_v<LeftOperand, LeftPairs>) {
    if (rows % kMatrixTile == 0 && depth % kMatrixTile == 0 && hasMatrixTiles()) {
      return multiplyByMatrixTiles<IsAdded>(rows, columns, depth, left, right, rightStride, result, resultStride);
    }
  }
#endif
  multiplyByVectors<IsAdded>(rows, columns, depth, left, right, rightStride, result, resultStride);
}

}  // namespace diffucoder
