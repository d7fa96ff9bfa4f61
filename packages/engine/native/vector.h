// Sixteen floats at a time, in the compiler's own vector type: one zmm register, or two ymm. The lanes of a sum are the
// same sixteen on every instruction set.
#pragma once
#include <cstdint>
#include <cstring>

namespace diffucoder {

constexpr int kLanes = 16;
typedef float Vector __attribute__((vector_size(64)));
typedef int32_t IntVector __attribute__((vector_size(64)));

inline Vector broadcast(float value) { return Vector{} + value; }

inline Vector load(const float* source) {
  Vector vector;
  std::memcpy(&vector, source, sizeof vector);
  return vector;
}

inline void store(float* target, Vector vector) { std::memcpy(target, &vector, sizeof vector); }

/** The first `count` lanes; the others are `rest`. */
inline Vector loadSome(const float* source, int64_t count, float rest = 0) {
  Vector vector = broadcast(rest);
  std::memcpy(&vector, source, count * sizeof(float));
  return vector;
}

inline void storeSome(float* target, Vector vector, int64_t count) { std::memcpy(target, &vector, count * sizeof(float)); }

/** Calls `body(offset, load, store)` for each run of lanes in `count` floats; the last run may be partial. */
template <typename Body>
inline void forEachRun(int64_t count, Body body) {
  int64_t offset = 0;
  for (; offset + kLanes <= count; offset += kLanes) {
    body(offset, [](const float* source) { return load(source); }, [](float* target, Vector vector) { store(target, vector); });
  }
  const int64_t left = count - offset;
  if (left > 0) {
    body(offset, [left](const float* source) { return loadSome(source, left); }, [left](float* target, Vector vector) { storeSome(target, vector, left); });
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

inline Vector squareRoot(Vector x) {
  for (int lane = 0; lane < kLanes; lane++) x[lane] = __builtin_sqrtf(x[lane]);
  return x;
}

inline Vector larger(Vector a, Vector b) { return a > b ? a : b; }

/** Largest of `count` numbers, at least one. */
inline float largestOf(const float* values, int64_t count) {
  Vector best = broadcast(values[0]);
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
inline Vector exponential(Vector x) {
  const IntVector isTiny = x < -87.0f;
  x = isTiny ? broadcast(-87.0f) : x;
  x = x > 88.0f ? broadcast(88.0f) : x;
  const Vector shift = broadcast(12582912.0f);  // 1.5 * 2^23: adding it rounds to whole numbers
  const Vector shifted = x * 1.44269504088896341f + shift;
  const Vector whole = shifted - shift;
  const Vector rest = x - whole * 0.693359375f + whole * 2.12194440e-4f;
  Vector series = broadcast(1.9875691500e-4f);
  series = series * rest + 1.3981999507e-3f;
  series = series * rest + 8.3334519073e-3f;
  series = series * rest + 4.1665795894e-2f;
  series = series * rest + 1.6666665459e-1f;
  series = series * rest + 5.0000001201e-1f;
  series = series * rest * rest + rest + 1.0f;
  const IntVector exponent = reinterpret_cast<IntVector>(shifted) - reinterpret_cast<IntVector>(shift) + 127;
  return isTiny ? Vector{} : series * reinterpret_cast<Vector>(exponent << 23);
}

inline Vector sigmoid(Vector x) { return 1.0f / (1.0f + exponential(-x)); }

}  // namespace diffucoder
