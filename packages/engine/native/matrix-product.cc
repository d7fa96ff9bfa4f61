// Axes: M rows of the result, N columns, K depth.
//
// Matrix products of training: left [.., M, K] or its transpose times right [.., K, N] or its transpose, plus what may be added to it. The
// right operand is laid out in panels once; then each piece of work, a block of rows by a block of columns, lays out its own rows, or reads them where they lie,
// and multiplies panel by panel, a block of depth at a time. Panels of a block of depth stay in the first cache, rows and sums of a piece in the second.
//
// Source: Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication", ACM TOMS 34(3), 2008.
//
// Each element of the result is one chain of fused multiply-adds in the order of depth (of pairs, with rounded operands), so that neither
// the number of threads nor, in fp32, the instruction set changes a bit.
#include <algorithm>
#include <string>
#include <type_traits>

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
constexpr int64_t kWholeDepth = 384;                      // of fp32 rows that are read where they lie, at most
constexpr int64_t kLeftStride = kDepthElements + kLanes;  // off a power of two, which would share cache sets
constexpr int64_t kPackedRows = 64;                       // that are laid out at a time where lines are columns

/** Where a matrix of `columns` columns goes, and what is added to it, if anything. */
struct Result {
  Numbers data;
  const float* addend;
  int64_t columns;

  /** Asks for the places of [rows, kTileColumns] while they are being computed. */
  void prefetch(int64_t row, int64_t rows, int64_t column) const {
    for (int64_t i = 0; i < rows; i++) {
      const Numbers line = data + ((row + i) * columns + column);
      __builtin_prefetch(line.data, 1);
      if (!line.isRounded) __builtin_prefetch((line + kLanes).data, 1);
    }
  }

  void put(int64_t row, int64_t rows, int64_t column, const float* sums) const {
    const int64_t width = std::min<int64_t>(kTileColumns, columns - column);
    for (int64_t i = 0; i < rows; i++, sums += kTileColumns) {
      const int64_t at = (row + i) * columns + column;
      forEachRun(width, [&](int64_t j, auto get, auto put) { put(data + at + j, addend == nullptr ? get(sums + j) : get(addend + at + j) + get(sums + j)); });
    }
  }
};

template <typename Operands>
class Product {
  using Element = typename Operands::Element;
  static constexpr bool kIsExact = std::is_same_v<Operands, Exact>;
  using Panels = PackedMatrix<Operands, Element>;

 public:
  static void compute(const Lines& left, const Lines& right, const Result& result) {
    thread_local Scratch room;
    Panels panels{nullptr, left.depth, right.count};
    panels.data = room.room<Element>(panels.elements());
    layOutPanels(right, panels);
    // The more rows, the less often panels come from far away; but each thread is to have two pieces.
    const int64_t rows = kStepRows * std::clamp<int64_t>(left.count / (2 * threadCount() * kStepRows), 1, kPieceSteps);
    const int64_t columnBlocks = (right.count + kPieceColumns - 1) / kPieceColumns;
    parallelFor((left.count + rows - 1) / rows * columnBlocks, [&](int64_t piece) {
      const int64_t row = piece / columnBlocks * rows, firstPanel = piece % columnBlocks * (kPieceColumns / kTileColumns);
      computePiece(left, row, std::min(rows, left.count - row), panels, firstPanel, std::min(panels.panels(), firstPanel + kPieceColumns / kTileColumns), result);
    });
  }

 private:
  static void layOutPanels(const Lines& right, const Panels& panels) {
    const auto layOutPanel = [&](int64_t panel, int64_t k, int64_t depth) {
      const int64_t column = panel * kTileColumns;
      layOut<Operands, false>(right, column, std::min<int64_t>(kTileColumns, right.count - column), k, depth, panels.panel(panel) + Operands::depth(k) * kTileColumns, kTileColumns);
    };
    if (right.areRows) return parallelFor(panels.panels(), [&](int64_t panel) { layOutPanel(panel, 0, right.depth); });
    parallelRows(right.depth, kPackedRows, [&](int64_t first, int64_t last) {  // along memory
      for (int64_t panel = 0; panel < panels.panels(); panel++) layOutPanel(panel, first, last - first);
    });
  }

  /** A block of depth of a piece's rows, and elements from one row to the next. */
  struct Rows {
    const Element* data;
    int64_t stride;
  };

  /** Whether the left operand's rows are a block of depth as they lie. Those of bf16 are laid out all the same: AMX took a fifth longer without. */
  static bool isInPlace(const Lines& left) { return kIsExact && left.areRows && !left.data.isRounded && left.depth <= kWholeDepth; }

  static Rows layOutRows(const Lines& left, int64_t firstRow, int64_t rows, int64_t k, int64_t depth) {
    if (isInPlace(left)) return {static_cast<Element*>(left.at(firstRow, 0).data), left.stride};
    thread_local Scratch room;
    Element* data = room.room<Element>(kPieceSteps * kStepRows * kLeftStride);
    layOut<Operands, true>(left, firstRow, rows, k, depth, data, kLeftStride);
    return {data, kLeftStride};
  }

  static void computePiece(const Lines& left, int64_t firstRow, int64_t rows, const Panels& panels, int64_t firstPanel, int64_t lastPanel, const Result& result) {
    [[maybe_unused]] typename Operands::Session session;
    thread_local Scratch room;
    float* sums = room.room(kPieceSteps * kStepRows * kPieceColumns);
    const int64_t depthStep = isInPlace(left) ? kWholeDepth : kDepthElements * Operands::kValues;
    // What is asked for holds AMX up; where rows are few, asking takes longer than it saves.
    const bool isAskedFor = kIsExact && rows >= kPieceSteps / 2 * kStepRows;
    for (int64_t k = 0; k == 0 || k < left.depth; k += depthStep) {
      const int64_t depth = std::min(depthStep, left.depth - k), panelElements = Operands::depth(depth) * kTileColumns;
      const bool isLast = k + depth == left.depth;
      const Rows rowsOfLeft = layOutRows(left, firstRow, rows, k, depth);
      int64_t tiles = 0;
      for (int64_t panel = firstPanel; panel < lastPanel; panel++) {
        const Element* elements = panels.panel(panel) + Operands::depth(k) * kTileColumns;
        const Element* next = panel + 1 < lastPanel ? elements + panels.panelElements() : elements;
        for (int64_t row = 0; row < rows; row += kStepRows) {
          const int64_t count = std::min(kStepRows, rows - row);
          float* tile = sums + (left.depth > depthStep ? tiles++ * kStepRows * kTileColumns : 0);
          if (isAskedFor) prefetch(next + row * panelElements / rows, count * panelElements / rows);
          if (isAskedFor && isLast) result.prefetch(firstRow + row, count, panel * kTileColumns);
          const auto multiply = [&](auto isAdded) {  // a call by pointer would cost a tenth of the time
            Operands::template multiplyPanel<isAdded()>(rowsOfLeft.data + row * rowsOfLeft.stride, rowsOfLeft.stride, count, elements, Operands::depth(depth), tile);
          };
          k == 0 ? multiply(std::false_type()) : multiply(std::true_type());
          if (isLast) result.put(firstRow + row, count, panel * kTileColumns, tile);
        }
      }
    }
  }

  /** Asks for a share of the panel that comes next, which is far away. */
  static void prefetch(const Element* elements, int64_t count) {
    for (int64_t i = 0; i < count; i += kLanes) __builtin_prefetch(elements + i, 0, 2);
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
        Product<decltype(operands)>::compute(left.lines(left.matrixOf(index, leading), !isLeftTransposed), right.lines(right.matrixOf(index, leading), isRightTransposed), {result + first, addend == nullptr ? nullptr : addend + first, columns});
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
