#pragma once
#include <cstdint>

namespace diffucoder {

void registerAdamW();
void registerAttention();
void registerCrossEntropy();
void registerDoubts();
void registerMatrixProduct();
void registerNetwork();
void registerPack();
void registerRmsNorm();
void registerSwiGlu();

/** Sums of the columns of a [rows, columns] matrix, added from the first row to the last. */
void sumRows(const float* matrix, int64_t rows, int64_t columns, float* sums);

}  // namespace diffucoder
