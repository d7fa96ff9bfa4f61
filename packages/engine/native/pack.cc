// Lays a weight out for the products of decoding: [columns, depth], as checkpoints have it, to the panels of packed.h. The elements are
// floats in name; those of rounded weights are pairs of bf16.
#include "kernel.h"
#include "kernels.h"
#include "packed.h"
#include "scratch.h"

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
    const float* weight = call.input(0);
    PackedMatrix<Operands, Element> packed{nullptr, shape[1], shape[0]};
    packed.data = reinterpret_cast<Element*>(call.output(0, {packed.elements()}));
    if (call.failed()) return;
    std::memset(packed.data, 0, packed.elements() * sizeof(Element));
    Scratch scratch;
    const LeftBlock<Operands> values{scratch.room<Element>(rowRoom(packed.depth)), packed.depth};
    for (int64_t column = 0; column < packed.columns; column++) {
      const float* source = weight + column * packed.depth;
      forEachRun(packed.depth, [&](int64_t i, auto get, auto) { values.put(0, i, get(source + i)); });
      values.close(0);
      packed.putColumn(column, values.row(0));
    }
  }
};

}  // namespace

void registerPack() { registerKernel<Pack>({"DiffucoderPack", {"weight: float"}, {"packed: float"}, {"rounded: int = 0"}}); }

}  // namespace diffucoder
