// Work shared by a fixed set of threads.
#pragma once
#include <cstdint>
#include <functional>

namespace diffucoder {

/** Threads that TF_NUM_INTRAOP_THREADS allows, or the machine. */
int threadCount();

/**
 * Runs `body(0)` ... `body(count - 1)` on so many threads, in any order. Who runs what
 * never shows in the result as long as each index writes to places of its own. A body that
 * calls it runs its own pieces alone.
 */
void parallelFor(int64_t count, const std::function<void(int64_t)>& body);

/** Runs `body(first, last)` over ranges of about `grain` rows. The ranges do not depend on the number of threads. */
void parallelRows(int64_t rows, int64_t grain, const std::function<void(int64_t, int64_t)>& body);

}  // namespace diffucoder
