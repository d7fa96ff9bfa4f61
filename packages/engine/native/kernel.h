// A thin layer over the C interface for kernels: what a kernel of ours needs, and no more.
#pragma once
#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

#include "tensorflow-kernels.h"
#include "vector.h"

namespace diffucoder {

using Shape = std::vector<int64_t>;

int64_t elementsOf(const Shape& shape);

/** The attributes of a node, read once when its kernel is made. */
class Attributes {
 public:
  explicit Attributes(TF_OpKernelConstruction* construction) : construction_(construction) {}
  float real(const char* name) const;
  int64_t integer(const char* name) const;
  TF_DataType dtype(const char* name) const;

 private:
  TF_OpKernelConstruction* construction_;
};

/** One execution: its inputs and outputs. The first failure is reported and ends in a null pointer. */
class Call {
 public:
  explicit Call(TF_OpKernelContext* context);
  ~Call();
  Call(const Call&) = delete;

  int inputCount() const { return static_cast<int>(inputs_.size()); }
  Shape shape(int input) const;
  template <typename Element = float>
  Element* input(int index) const {
    return static_cast<Element*>(TF_TensorData(inputs_[index]));
  }
  float scalar(int index) const { return *input(index); }
  Numbers numbers(int index) const { return {TF_TensorData(inputs_[index]), TF_TensorType(inputs_[index]) == TF_BFLOAT16}; }
  /** What is added to the result of this shape: the input after all others, if there is one. */
  const float* addend(int index, const Shape& shape);
  float* output(int index, const Shape& shape) { return static_cast<float*>(output(index, shape, TF_FLOAT).data); }
  Numbers output(int index, const Shape& shape, TF_DataType dtype);

  /** Fails the run unless `holds`. */
  bool require(bool holds, const std::string& message);
  bool failed() const { return TF_GetCode(status_) != TF_OK; }

 private:
  TF_OpKernelContext* context_;
  TF_Status* status_;
  std::vector<TF_Tensor*> inputs_;
  std::vector<TF_Tensor*> outputs_;
};

/**
 * Registers an operation and its CPU kernel. `Kernel` is made from `Attributes` and called with a `Call`. An input or output
 * `name: real` is fp32 unless the attribute `name_type` says bf16.
 */
struct Signature {
  const char* name;
  std::initializer_list<const char*> inputs;
  std::initializer_list<const char*> outputs;
  std::initializer_list<const char*> attributes = {};
  bool isStateful = false;
};

void registerSignature(const Signature& signature, void* (*create)(TF_OpKernelConstruction*), void (*compute)(void*, TF_OpKernelContext*),
                       void (*destroy)(void*));

template <typename Kernel>
void registerKernel(const Signature& signature) {
  registerSignature(
      signature, [](TF_OpKernelConstruction* construction) -> void* { return new Kernel(Attributes(construction)); },
      [](void* kernel, TF_OpKernelContext* context) {
        Call call(context);
        if (!call.failed()) (*static_cast<const Kernel*>(kernel))(call);
      },
      [](void* kernel) { delete static_cast<Kernel*>(kernel); });
}

}  // namespace diffucoder
