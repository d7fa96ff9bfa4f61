// Lays a weight out for the products of decoding: [columns, depth], as checkpoints have it, to the panels of packed.h. The elements are
// floats in name; those of rounded weights are pairs of bf16.
#include "kernel.h"
#include "kernels.h"
#include "lines.h"
#include "packed.h"

namespace diffucoder {
namespace {

struct Pack {
  bool isRounded;
  explicit Pack(Attributes attributes) : isRounded(attributes.integer("rounded") == 1) {}

  void operator()(Call& call) const {
    const bool isKnown = withPackedOperands(isRounded, [&](auto operands) { pack<decltype(operands)>(call); });
    call.require(isKnown, "pack: expected a CPU with AVX512_BF16 and kernels for it to round weights to bf16, found none; use fp32");
  }

  template <typename Operands>
  static void pack(Call& call) {
    using Element = typename Operands::Element;
    const Shape shape = call.shape(0);
    float* weight = call.input(0);
    PackedMatrix<Operands, Element> packed{nullptr, shape[1], shape[0]};
    packed.data = reinterpret_cast<Element*>(call.output(0, {packed.elements()}));
    if (call.failed()) return;
    for (int64_t panel = 0; panel < packed.panels(); panel++) {
      const int64_t column = panel * kTileColumns;
      layOut<Operands, false>({{weight, false}, packed.columns, packed.depth, packed.depth, true}, column, std::min<int64_t>(kTileColumns, packed.columns - column), 0, packed.depth, packed.panel(panel), kTileColumns);
    }
  }
};

}  // namespace

void registerPack() { registerKernel<Pack>({"DiffucoderPack", {"weight: float"}, {"packed: float"}, {"rounded: int = 0"}}); }

}  // namespace diffucoder
