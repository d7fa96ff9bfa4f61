// Memory that a thread keeps from one call to the next.
#pragma once
#include <cstdint>
#include <cstdlib>

namespace diffucoder {

/** Room for so many floats (or other elements of their size) on a cache line's boundary; it only ever grows, and then loses what was in it. */
class Scratch {
 public:
  Scratch() = default;
  Scratch(const Scratch&) = delete;
  ~Scratch() { std::free(data_); }

  template <typename Element = float>
  Element* room(int64_t count) {
    static_assert(sizeof(Element) == sizeof(float));
    if (count > count_) {
      std::free(data_);
      data_ = std::aligned_alloc(kLine, (count * sizeof(float) + kLine - 1) / kLine * kLine);
      count_ = count;
    }
    return static_cast<Element*>(data_);
  }

 private:
  static constexpr size_t kLine = 64;
  void* data_ = nullptr;
  int64_t count_ = 0;
};

}  // namespace diffucoder
