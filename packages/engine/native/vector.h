// Sixteen floats at a time: one register of AVX-512, two of AVX2. The lanes of a sum are the same sixteen on every
// instruction set. The compiler's own vectors of more than a register would go through memory.
#pragma once
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

namespace diffucoder {

constexpr int kLanes = 16;
#ifdef __AVX512F__
constexpr int kRegisters = 1;
#else
constexpr int kRegisters = 2;
#endif
constexpr int kRegisterLanes = kLanes / kRegisters;
typedef float Register __attribute__((vector_size(4 * kRegisterLanes)));
typedef int32_t IntRegister __attribute__((vector_size(4 * kRegisterLanes)));
typedef uint32_t BitRegister __attribute__((vector_size(4 * kRegisterLanes)));
typedef uint16_t HalfRegister __attribute__((vector_size(2 * kRegisterLanes)));

/** The same lanes at any address. */
typedef float PackedRegister __attribute__((vector_size(4 * kRegisterLanes), aligned(4), may_alias));

inline Register loadRegister(const float* source) { return *reinterpret_cast<const PackedRegister*>(source); }
inline void storeRegister(float* target, Register lanes) { *reinterpret_cast<PackedRegister*>(target) = lanes; }

struct Vector {
  Register registers[kRegisters];

  Vector() = default;  // `Vector{}` is all 0
  Vector(float value) {
    for (Register& one : registers) one = value - Register{};  // not +, which the compiler must keep for the sake of -0
  }
  float operator[](int lane) const { return registers[lane / kRegisterLanes][lane % kRegisterLanes]; }
};

/**
 * Each register by itself.
 *
 * Of two products in a sum the compiler fuses the one that it comes to first, the right operand's here: changing their order
 * changes last bits.
 */
template <typename Operation, typename... Vectors>
inline Vector map(Operation operation, Vectors... vectors) {
  Vector result;
  for (int i = 0; i < kRegisters; i++) result.registers[i] = operation(vectors.registers[i]...);
  return result;
}

inline Vector operator+(Vector a, Vector b) { return map([](Register x, Register y) { return x + y; }, a, b); }
inline Vector operator-(Vector a, Vector b) { return map([](Register x, Register y) { return x - y; }, a, b); }
inline Vector operator*(Vector a, Vector b) { return map([](Register x, Register y) { return x * y; }, a, b); }
inline Vector operator/(Vector a, Vector b) { return map([](Register x, Register y) { return x / y; }, a, b); }
inline Vector operator-(Vector a) { return map([](Register x) { return -x; }, a); }
inline Vector& operator+=(Vector& a, Vector b) { return a = a + b; }

inline Vector load(const float* source) {
  Vector vector;
  for (int i = 0; i < kRegisters; i++) vector.registers[i] = loadRegister(source + i * kRegisterLanes);
  return vector;
}

inline void store(float* target, Vector vector) {
  for (int i = 0; i < kRegisters; i++) storeRegister(target + i * kRegisterLanes, vector.registers[i]);
}

/** The first `count` lanes; the others are `rest`. */
inline Vector loadSome(const float* source, int64_t count, float rest = 0) {
  Vector vector = rest;
  std::memcpy(&vector, source, count * sizeof(float));
  return vector;
}

inline void storeSome(float* target, Vector vector, int64_t count) { std::memcpy(target, &vector, count * sizeof(float)); }

/** Where numbers lie, in fp32 or rounded to bf16. */
struct Numbers {
  void* data;
  bool isRounded;

  Numbers operator+(int64_t count) const { return {static_cast<char*>(data) + count * (isRounded ? 2 : 4), isRounded}; }
  float operator[](int64_t index) const;
  void set(int64_t index, float value) const;
};

inline Register widened(HalfRegister halves) { return reinterpret_cast<Register>(__builtin_convertvector(halves, BitRegister) << 16); }

/** To the nearest bf16, of two the even one; NaN stays NaN. */
inline HalfRegister rounded(Register lanes) {
  const BitRegister bits = reinterpret_cast<BitRegister>(lanes);
  const BitRegister nearest = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
  return __builtin_convertvector(lanes == lanes ? nearest : (bits >> 16 | 0x40), HalfRegister);
}

/** The first `count` lanes; the others are `rest`. */
inline Vector loadSome(Numbers source, int64_t count, float rest = 0) {
  if (!source.isRounded) return loadSome(static_cast<const float*>(source.data), count, rest);
  uint16_t halves[kLanes] = {};
  std::memcpy(halves, source.data, count * sizeof(uint16_t));
  float lanes[kLanes];
  for (int lane = 0; lane < kLanes; lane++) {
    const uint32_t bits = static_cast<uint32_t>(halves[lane]) << 16;
    std::memcpy(lanes + lane, &bits, sizeof bits);
    if (lane >= count) lanes[lane] = rest;
  }
  return load(lanes);
}

inline Vector load(Numbers source) {
  if (!source.isRounded) return load(static_cast<const float*>(source.data));
  Vector vector;
  for (int i = 0; i < kRegisters; i++) {
    HalfRegister halves;
    std::memcpy(&halves, (source + i * kRegisterLanes).data, sizeof halves);
    vector.registers[i] = widened(halves);
  }
  return vector;
}

inline void storeSome(Numbers target, Vector vector, int64_t count) {
  if (!target.isRounded) return storeSome(static_cast<float*>(target.data), vector, count);
  uint16_t halves[kLanes];
  for (int i = 0; i < kRegisters; i++) {
    const HalfRegister half = rounded(vector.registers[i]);
    std::memcpy(halves + i * kRegisterLanes, &half, sizeof half);
  }
  std::memcpy(target.data, halves, count * sizeof(uint16_t));
}

inline void store(Numbers target, Vector vector) {
  if (!target.isRounded) return store(static_cast<float*>(target.data), vector);
  storeSome(target, vector, kLanes);
}

inline float Numbers::operator[](int64_t index) const { return loadSome(*this + index, 1)[0]; }
inline void Numbers::set(int64_t index, float value) const { storeSome(*this + index, value, 1); }

/** Each register's rows become its columns: lane j of `rows[i]` goes to lane i of `rows[j]`. */
inline void transpose(Vector (&rows)[kLanes]) {
  const auto exchange = [&]<int Step>(std::integral_constant<int, Step>) {
    for (int i = 0; i < kLanes; i++) {
      if (i & Step) continue;
      Vector &a = rows[i], &b = rows[i + Step];
      if constexpr (Step == kRegisterLanes) {  // AVX2: whole registers
        std::swap(a.registers[kRegisters - 1], b.registers[0]);
      } else {
        const auto mask = [](int first) {
          IntRegister lanes;
          for (int lane = 0; lane < kRegisterLanes; lane++) lanes[lane] = lane & Step ? kRegisterLanes + lane - Step + first : lane + first;
          return lanes;
        };
        for (int r = 0; r < kRegisters; r++) {
          const Register x = a.registers[r], y = b.registers[r];
          a.registers[r] = __builtin_shuffle(x, y, mask(0));
          b.registers[r] = __builtin_shuffle(x, y, mask(Step));
        }
      }
    }
  };
  exchange(std::integral_constant<int, 1>());
  exchange(std::integral_constant<int, 2>());
  exchange(std::integral_constant<int, 4>());
  exchange(std::integral_constant<int, 8>());
}

/** Calls `body(offset, load, store)` for each run of lanes in `count` floats; the last run may be partial. */
template <typename Body>
inline void forEachRun(int64_t count, Body body) {
  int64_t offset = 0;
  for (; offset + kLanes <= count; offset += kLanes) {
    body(offset, [](auto source) { return load(source); }, [](auto target, Vector vector) { store(target, vector); });
  }
  const int64_t left = count - offset;
  if (left > 0) {
    body(offset, [left](auto source) { return loadSome(source, left); }, [left](auto target, Vector vector) { storeSome(target, vector, left); });
  }
}

inline float sumOf(Vector vector) {
  float sum = 0;
  for (int lane = 0; lane < kLanes; lane++) sum += vector[lane];
  return sum;
}

inline float largestOf(Vector vector) {
  float largest = vector[0];
  for (int lane = 1; lane < kLanes; lane++) largest = vector[lane] > largest ? vector[lane] : largest;
  return largest;
}

inline Vector squareRoot(Vector vector) {
  return map(
      [](Register x) {
        for (int lane = 0; lane < kLanes / kRegisters; lane++) x[lane] = __builtin_sqrtf(x[lane]);
        return x;
      },
      vector);
}

inline Vector larger(Vector a, Vector b) { return map([](Register x, Register y) { return x > y ? x : y; }, a, b); }

/** Largest of `count` numbers, at least one. */
template <typename Source>
inline float largestOf(Source values, int64_t count) {
  Vector best = values[0];
  const int64_t whole = count / kLanes * kLanes;
  for (int64_t i = 0; i < whole; i += kLanes) best = larger(load(values + i), best);
  if (whole < count) best = larger(loadSome(values + whole, count - whole, values[0]), best);
  return largestOf(best);
}

/**
 * e to the power of each lane, to 1e-7 relative; NaN stays NaN, below -87 it is 0.
 *
 * @source Moshier, Cephes Mathematical Library, expf
 */
inline Vector exponential(Vector vector) {
  return map(
      [](Register x) {
        const IntRegister isTiny = x < -87.0f;
        x = isTiny ? -87.0f - Register{} : x;
        x = x > 88.0f ? 88.0f - Register{} : x;
        const Register shift = 12582912.0f - Register{};  // 1.5 * 2^23: adding it rounds to whole numbers
        const Register shifted = x * 1.44269504088896341f + shift;
        const Register whole = shifted - shift;
        const Register rest = x - whole * 0.693359375f + whole * 2.12194440e-4f;
        Register series = 1.9875691500e-4f - Register{};
        series = series * rest + 1.3981999507e-3f;
        series = series * rest + 8.3334519073e-3f;
        series = series * rest + 4.1665795894e-2f;
        series = series * rest + 1.6666665459e-1f;
        series = series * rest + 5.0000001201e-1f;
        series = series * rest * rest + rest + 1.0f;
        const IntRegister exponent = reinterpret_cast<IntRegister>(shifted) - reinterpret_cast<IntRegister>(shift) + 127;
        return isTiny ? Register{} : series * reinterpret_cast<Register>(exponent << 23);
      },
      vector);
}

inline Vector sigmoid(Vector x) { return 1.0f / (1.0f + exponential(-x)); }

}  // namespace diffucoder
