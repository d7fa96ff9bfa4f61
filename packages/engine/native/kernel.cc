#include "kernel.h"

#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <unordered_set>

#include "tensorflow/c/ops.h"
#include "tensorflow/c/tf_tensor.h"

namespace diffucoder {

int64_t elementsOf(const Shape& shape) {
  int64_t count = 1;
  for (const int64_t size : shape) count *= size;
  return count;
}

namespace {

template <typename Value>
Value attribute(TF_OpKernelConstruction* construction, const char* name, void (*read)(TF_OpKernelConstruction*, const char*, Value*, TF_Status*)) {
  Value value{};
  TF_Status* status = TF_NewStatus();
  read(construction, name, &value, status);
  if (TF_GetCode(status) != TF_OK) TF_OpKernelConstruction_Failure(construction, status);
  TF_DeleteStatus(status);
  return value;
}

}  // namespace

float Attributes::real(const char* name) const { return attribute(construction_, name, &TF_OpKernelConstruction_GetAttrFloat); }
int64_t Attributes::integer(const char* name) const { return attribute(construction_, name, &TF_OpKernelConstruction_GetAttrInt64); }
TF_DataType Attributes::dtype(const char* name) const { return attribute(construction_, name, &TF_OpKernelConstruction_GetAttrType); }

namespace {

/**
 * Puts the memory of a large tensor, which its allocator keeps for the next step, into pages of 2 MB, once: where rows lie far from each other,
 * looking up pages of 4 KB takes longer than reading them. Where Linux does not offer that, nothing changes.
 */
void useLargePages(void* data, size_t bytes) {
  constexpr uintptr_t kPage = 2 << 20;
  constexpr int kCollapse = 25;  // MADV_COLLAPSE: also pages that something was written to already, since Linux 6.1
  static std::mutex mutex;
  static std::unordered_set<uintptr_t> known;
  if (bytes < kPage) return;
  const std::lock_guard<std::mutex> lock(mutex);
  const uintptr_t first = reinterpret_cast<uintptr_t>(data), last = first + bytes;
  for (uintptr_t page = first / kPage * kPage; page < last; page += kPage) {
    if (!known.insert(page).second) continue;
    madvise(reinterpret_cast<void*>(page), kPage, MADV_HUGEPAGE);
    madvise(reinterpret_cast<void*>(page), kPage, kCollapse);
  }
}

}  // namespace

Call::Call(TF_OpKernelContext* context) : context_(context), status_(TF_NewStatus()) {
  const int count = TF_NumInputs(context);
  for (int index = 0; index < count && !failed(); index++) {
    TF_Tensor* tensor = nullptr;
    TF_GetInput(context, index, &tensor, status_);
    if (tensor != nullptr) inputs_.push_back(tensor);
  }
}

Call::~Call() {
  if (failed()) TF_OpKernelContext_Failure(context_, status_);
  for (TF_Tensor* tensor : inputs_) TF_DeleteTensor(tensor);
  for (TF_Tensor* tensor : outputs_) TF_DeleteTensor(tensor);
  TF_DeleteStatus(status_);
}

Shape Call::shape(int input) const {
  const TF_Tensor* tensor = inputs_[input];
  Shape shape(TF_NumDims(tensor));
  for (size_t i = 0; i < shape.size(); i++) shape[i] = TF_Dim(tensor, static_cast<int>(i));
  return shape;
}

const float* Call::addend(int index, const Shape& shape) {
  if (failed() || inputCount() <= index) return nullptr;
  require(this->shape(index) == shape, "addend: expected the shape of the result, found another");
  return input(index);
}

Numbers Call::output(int index, const Shape& shape, TF_DataType dtype) {
  const bool isRounded = dtype == TF_BFLOAT16;
  if (failed()) return {nullptr, isRounded};  // allocating would overwrite the failure
  TF_Tensor* tensor = TF_AllocateOutput(context_, index, dtype, shape.data(), static_cast<int>(shape.size()), elementsOf(shape) * (isRounded ? 2 : 4), status_);
  if (tensor == nullptr || failed()) return {nullptr, isRounded};
  outputs_.push_back(tensor);
  useLargePages(TF_TensorData(tensor), TF_TensorByteSize(tensor));
  return {TF_TensorData(tensor), isRounded};
}

bool Call::require(bool holds, const std::string& message) {
  if (!holds && !failed()) TF_SetStatus(status_, TF_INVALID_ARGUMENT, message.c_str());
  return holds;
}

namespace {

/** A failed registration leaves an operation that no graph can be loaded with: nothing to go on with. */
void requireRegistered(TF_Status* status, const char* name) {
  if (TF_GetCode(status) == TF_OK) return;
  std::fprintf(stderr, "operation %s: expected to be registered, found: %s\n", name, TF_Message(status));
  std::abort();
}

}  // namespace

void registerSignature(const Signature& signature, void* (*create)(TF_OpKernelConstruction*), void (*compute)(void*, TF_OpKernelContext*),
                       void (*destroy)(void*)) {
  TF_Status* status = TF_NewStatus();
  TF_OpDefinitionBuilder* definition = TF_NewOpDefinitionBuilder(signature.name);
  for (const char* attribute : signature.attributes) TF_OpDefinitionBuilderAddAttr(definition, attribute);
  const auto typed = [&](const std::string& argument) {
    const size_t colon = argument.find(": real");
    if (colon == std::string::npos) return argument;
    const std::string type = argument.substr(0, colon) + "_type";
    TF_OpDefinitionBuilderAddAttr(definition, (type + ": {float, bfloat16} = DT_FLOAT").c_str());
    return argument.substr(0, colon) + ": " + type;
  };
  for (const char* input : signature.inputs) TF_OpDefinitionBuilderAddInput(definition, typed(input).c_str());
  for (const char* output : signature.outputs) TF_OpDefinitionBuilderAddOutput(definition, typed(output).c_str());
  if (signature.isStateful) TF_OpDefinitionBuilderSetIsStateful(definition, true);
  TF_OpDefinitionBuilderSetShapeInferenceFunction(definition, &TF_ShapeInferenceContextSetUnknownShape);
  TF_RegisterOpDefinition(definition, status);
  requireRegistered(status, signature.name);
  TF_RegisterKernelBuilder(signature.name, TF_NewKernelBuilder(signature.name, "CPU", create, compute, destroy), status);
  requireRegistered(status, signature.name);
  TF_DeleteStatus(status);
}

}  // namespace diffucoder
