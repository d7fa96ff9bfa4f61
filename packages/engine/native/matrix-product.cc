// Axes: M rows of the result, N columns, K depth.
//
// Matrix products of training: left [.., M, K] or its transpose times right [.., K, N] or its transpose, plus what may be added to it. The
// right operand is laid out in panels once; then each piece of work, a block of rows by a block of columns, lays out its own rows and multiplies panel by panel, a
// block of depth at a time. Panels of a block of depth stay in the first cache, rows and sums of a piece in the second.
//
// Source: Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication", ACM TOMS 34(3), 2008.
//
// Each element of the result is one chain of fused multiply-adds in the order of depth (of pairs, with rounded operands), so that neither
// the number of threads nor, in fp32, the instruction set changes a bit.
#include <algorithm>
#include <string>

#include "kernel.h"
#include "kernels.h"
#include "lines.h"
#include "packed.h"
#include "parallel.h"
#include "scratch.h"

namespace diffucoder {
namespace {

constexpr int64_t kStepRows = kBlockRows / kTileRows * kTileRows;  // that go through a panel together
constexpr int64_t kPieceSteps = 8;                                 // at most
constexpr int64_t kPieceColumns = 512;
constexpr int64_t kDepthElements = 256;                   // of a block of depth
constexpr int64_t kLeftStride = kDepthElements + kLanes;  // off a power of two, which would share cache sets
constexpr int64_t kPackedRows = 64;                       // that are laid out at a time where lines are columns

template <typename Operands>
class Product {
  using Element = typename Operands::Element;

 public:
  /** Calls `write(row, rows, column, sums)` for each [rows, kTileColumns] of the result. */
  template <typename Write>
  static void compute(const Lines& left, const Lines& right, Write write) {
    thread_local Scratch room;
    PackedMatrix<Operands, Element> panels{nullptr, left.depth, right.count};
    panels.data = room.room<Element>(panels.elements());
    layOutPanels(right, panels);
    // The more rows, the less often panels come from far away; but each thread is to have two pieces.
    const int64_t rows = kStepRows * std::clamp<int64_t>(left.count / (2 * threadCount() * kStepRows), 1, kPieceSteps);
    const int64_t columnBlocks = (right.count + kPieceColumns - 1) / kPieceColumns;
    parallelFor((left.count + rows - 1) / rows * columnBlocks, [&](int64_t piece) {
      const int64_t row = piece / columnBlocks * rows, firstPanel = piece % columnBlocks * (kPieceColumns / kTileColumns);
      computePiece(left, row, std::min(rows, left.count - row), panels, firstPanel, std::min(panels.panels(), firstPanel + kPieceColumns / kTileColumns), write);
    });
  }

 private:
  static void layOutPanels(const Lines& right, const PackedMatrix<Operands, Element>& panels) {
    const auto layOutPanel = [&](int64_t panel, int64_t k, int64_t depth) {
      const int64_t column = panel * kTileColumns;
      layOut<Operands, false>(right, column, std::min<int64_t>(kTileColumns, right.count - column), k, depth, panels.panel(panel) + Operands::depth(k) * kTileColumns, kTileColumns);
    };
    if (right.areRows) return parallelFor(panels.panels(), [&](int64_t panel) { layOutPanel(panel, 0, right.depth); });
    parallelRows(right.depth, kPackedRows, [&](int64_t first, int64_t last) {  // along memory
      for (int64_t panel = 0; panel < panels.panels(); panel++) layOutPanel(panel, first, last - first);
    });
  }

  template <typename Write>
  static void computePiece(const Lines& left, int64_t firstRow, int64_t rows, const PackedMatrix<Operands, Element>& panels, int64_t firstPanel, int64_t lastPanel, Write write) {
    [[maybe_unused]] typename Operands::Session session;
    thread_local Scratch rowRoom, sumRoom;
    Element* rowsOfLeft = rowRoom.room<Element>(kPieceSteps * kStepRows * kLeftStride);
    float* sums = sumRoom.room(kPieceSteps * kStepRows * kPieceColumns);
    const int64_t depthStep = kDepthElements * Operands::kValues;
    for (int64_t k = 0; k == 0 || k < left.depth; k += depthStep) {
      const int64_t depth = std::min(depthStep, left.depth - k);
      layOut<Operands, true>(left, firstRow, rows, k, depth, rowsOfLeft, kLeftStride);
      int64_t tiles = 0;
      for (int64_t panel = firstPanel; panel < lastPanel; panel++) {
        for (int64_t row = 0; row < rows; row += kStepRows) {
          const int64_t count = std::min(kStepRows, rows - row);
          float* tile = sums + (left.depth > depthStep ? tiles++ * kStepRows * kTileColumns : 0);
          const auto multiply = [&](auto isAdded) {
            Operands::template multiplyPanel<isAdded()>(rowsOfLeft + row * kLeftStride, kLeftStride, count, panels.panel(panel) + Operands::depth(k) * kTileColumns, Operands::depth(depth), tile);
          };
          k == 0 ? multiply(std::false_type()) : multiply(std::true_type());
          if (k + depthStep >= left.depth) write(firstRow + row, count, panel * kTileColumns, tile);
        }
      }
    }
  }
};

/** An operand: matrices [rows, columns] in leading axes. */
struct Matrices {
  Numbers data;
  Shape leading;
  int64_t rows, columns;

  Matrices(const Call& call, int input) : data(call.numbers(input)), leading(call.shape(input)) {
    columns = takeLast();
    rows = takeLast();
  }

  Lines lines(int64_t matrix, bool areRows) const {
    const Numbers first = data + matrix * rows * columns;
    return areRows ? Lines{first, rows, columns, columns, true} : Lines{first, columns, rows, columns, false};
  }

  /** Leading axis number `i` from the last; missing ones are 1. */
  int64_t axis(size_t i) const { return i < leading.size() ? leading[leading.size() - 1 - i] : 1; }

  /** Which of these matrices goes into matrix `index` of a result with leading axes `whole`; axes of 1 repeat. */
  int64_t matrixOf(int64_t index, const Shape& whole) const {
    int64_t matrix = 0, step = 1;
    for (size_t i = 0; i < whole.size(); i++) {
      const int64_t size = whole[whole.size() - 1 - i];
      if (axis(i) != 1) matrix += index % size * step;
      index /= size;
      step *= axis(i);
    }
    return matrix;
  }

 private:
  int64_t takeLast() {
    if (leading.empty()) return 1;
    const int64_t size = leading.back();
    leading.pop_back();
    return size;
  }
};

struct MatrixProduct {
  bool isLeftTransposed, isRightTransposed, isRounded;
  TF_DataType type;

  explicit MatrixProduct(Attributes attributes)
      : isLeftTransposed(attributes.integer("transpose_a") == 1), isRightTransposed(attributes.integer("transpose_b") == 1), isRounded(attributes.integer("rounded") == 1), type(attributes.dtype("product_type")) {}

  void operator()(Call& call) const {
    const Matrices left(call, 0), right(call, 1);
    const int64_t rows = isLeftTransposed ? left.columns : left.rows, depth = isLeftTransposed ? left.rows : left.columns;
    const int64_t columns = isRightTransposed ? right.rows : right.columns, rightDepth = isRightTransposed ? right.columns : right.rows;
    call.require(depth == rightDepth, "matrix product: expected operands of one depth, found " + std::to_string(depth) + " and " + std::to_string(rightDepth));
    Shape leading(std::max(left.leading.size(), right.leading.size()));
    for (size_t i = 0; i < leading.size(); i++) {
      const int64_t a = left.axis(i), b = right.axis(i);
      call.require(a == b || a == 1 || b == 1, "matrix product: expected leading axes that are equal or 1, found " + std::to_string(a) + " and " + std::to_string(b));
      leading[leading.size() - 1 - i] = a == 1 ? b : a;
    }
    Shape shape = leading;
    shape.insert(shape.end(), {rows, columns});
    const float* addend = call.addend(2, shape);
    const Numbers result = call.output(0, shape, type);
    if (call.failed()) return;
    const bool isKnown = withPackedOperands(isRounded, [&](auto operands) {
      parallelFor(elementsOf(leading), [&](int64_t index) {
        const int64_t first = index * rows * columns;
        Product<decltype(operands)>::compute(left.lines(left.matrixOf(index, leading), !isLeftTransposed), right.lines(right.matrixOf(index, leading), isRightTransposed), [=](int64_t row, int64_t count, int64_t column, const float* sums) {
          const int64_t width = std::min<int64_t>(kTileColumns, columns - column);
          for (int64_t i = 0; i < count; i++, sums += kTileColumns) {
            const int64_t at = first + (row + i) * columns + column;
            forEachRun(width, [&](int64_t j, auto get, auto put) { put(result + at + j, addend == nullptr ? get(sums + j) : get(addend + at + j) + get(sums + j)); });
          }
        });
      });
    });
    call.require(isKnown, "matrix product: expected a CPU with AVX512_BF16 and kernels for it to round operands to bf16, found none; use fp32");
  }
};

}  // namespace

void registerMatrixProduct() {
  registerKernel<MatrixProduct>({"DiffucoderMatrixProduct", {"a: real", "b: real", "addend: N * float"}, {"product: real"}, {"N: int >= 0 = 0", "transpose_a: int = 0", "transpose_b: int = 0", "rounded: int = 0"}});
}

}  // namespace diffucoder
