// How the operands of a matrix product are laid out for it: from the rows or columns of a matrix of fp32 or bf16 numbers.
//
// A line is a row of the left operand or a column of the right one: what is multiplied with the other's lines, along the depth.
#pragma once
#include <algorithm>
#include <cstdint>

#include "packed.h"
#include "vector.h"

namespace diffucoder {

/** Number k of a line lies at data[line * stride + k] where lines are rows in memory, else at data[k * stride + line]. */
struct Lines {
  Numbers data;
  int64_t count, depth, stride;
  bool areRows;

  Numbers at(int64_t line, int64_t k) const { return data + (areRows ? line * stride + k : k * stride + line); }
};

/**
 * Lays out numbers [k, k + depth) of lines [line, line + count) as elements (floats, or pairs of bf16): those of a line side by side
 * if `IsLeft`, else as rows of a panel, elements of all its kTileColumns lines side by side. Rows of `target` have room for whole runs
 * of kLanes elements and are 0 where nothing is.
 */
template <typename Operands, bool IsLeft>
inline void layOut(const Lines& from, int64_t line, int64_t count, int64_t k, int64_t depth, typename Operands::Element* target, int64_t targetStride) {
  constexpr int64_t kStep = kLanes * Operands::kValues;
  for (int64_t i = 0; i < depth; i += kStep) {
    const int64_t numbers = std::min(kStep, depth - i);
    for (int64_t first = 0; first < (IsLeft ? count : kTileColumns); first += kLanes) {
      const int64_t lines = std::clamp<int64_t>(count - first, 0, kLanes);
      Vector block[kLanes];  // sixteen lines by sixteen elements
      for (int64_t at = 0; at < kLanes; at++) {
        if (from.areRows) {
          block[at] = at < lines ? Operands::alongLine(from.at(line + first + at, k + i), numbers) : Vector{};
        } else {
          block[at] = Operands::acrossLines(from.at(line + first, k + i + at * Operands::kValues), from.stride, numbers - at * Operands::kValues, lines);
        }
      }
      if (from.areRows != IsLeft) transpose(block);
      const int64_t element = i / Operands::kValues, rows = IsLeft ? lines : std::min<int64_t>(kLanes, Operands::depth(depth) - element);
      float* to = reinterpret_cast<float*>(target) + (IsLeft ? first * targetStride + element : element * targetStride + first);
      for (int64_t row = 0; row < rows; row++) store(to + row * targetStride, block[row]);
    }
  }
}

}  // namespace diffucoder
