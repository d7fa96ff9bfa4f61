#include "parallel.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <thread>

namespace diffucoder {
namespace {

/** Looks at what is still running before the core is given away: about 50 microseconds. */
constexpr int kSpins = 1000;

/** Looks for new work before a thread falls asleep, which takes longer to wake from than many an operation takes. */
constexpr int kWaits = 10000;

/** A piece of work that has pieces itself runs them alone. */
thread_local bool isAtWork = false;

struct Pool {
  std::mutex entry;  // one caller at a time
  std::mutex mutex;
  std::condition_variable wake;
  const std::function<void(int64_t)>* body = nullptr;
  int64_t count = 0;
  std::atomic<uint64_t> round{0};
  std::atomic<int64_t> next{0};
  std::atomic<int> working{0};
  int helpers;

  explicit Pool(int threads) : helpers(threads - 1) {
    for (int i = 0; i < helpers; i++) std::thread([this] { serve(); }).detach();
  }

  void serve() {
    uint64_t seen = 0;
    for (;;) {
      for (int spins = 0; spins < kWaits && round.load(std::memory_order_relaxed) == seen; spins++) __builtin_ia32_pause();
      const std::function<void(int64_t)>* task;
      {
        std::unique_lock<std::mutex> lock(mutex);
        wake.wait(lock, [&] { return round != seen; });
        seen = round;
        task = body;  // none if the others are done already
        if (task != nullptr) working.fetch_add(1, std::memory_order_relaxed);
      }
      if (task == nullptr) continue;
      take(*task);
      working.fetch_sub(1, std::memory_order_release);
    }
  }

  void take(const std::function<void(int64_t)>& task) {
    isAtWork = true;
    for (int64_t index = next.fetch_add(1); index < count; index = next.fetch_add(1)) task(index);
    isAtWork = false;
  }

  void run(int64_t total, const std::function<void(int64_t)>& task) {
    {
      std::lock_guard<std::mutex> lock(mutex);
      body = &task;
      count = total;
      next.store(0);
      round++;
    }
    wake.notify_all();
    take(task);
    {
      std::lock_guard<std::mutex> lock(mutex);
      body = nullptr;  // a thread that comes only now finds nothing to do
    }
    for (int spins = 0; working.load(std::memory_order_acquire) != 0; spins++) {
      if (spins < kSpins) {
        __builtin_ia32_pause();
      } else {
        std::this_thread::yield();  // another process has the core that the last piece runs on
      }
    }
  }
};

}  // namespace

int threadCount() {
  static const int count = [] {
    const char* setting = std::getenv("TF_NUM_INTRAOP_THREADS");
    const int wanted = setting == nullptr ? 0 : std::atoi(setting);
    return wanted > 0 ? wanted : static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  }();
  return count;
}

void parallelFor(int64_t count, const std::function<void(int64_t)>& body) {
  static Pool* pool = new Pool(threadCount());  // never destroyed: its threads outlive static storage
  std::unique_lock<std::mutex> lock(pool->entry, std::defer_lock);
  if (count < 2 || pool->helpers == 0 || isAtWork || !lock.try_lock()) {
    for (int64_t index = 0; index < count; index++) body(index);
    return;
  }
  pool->run(count, body);
}

void parallelRows(int64_t rows, int64_t grain, const std::function<void(int64_t, int64_t)>& body) {
  parallelFor((rows + grain - 1) / grain, [&](int64_t range) { body(range * grain, std::min(rows, (range + 1) * grain)); });
}

}  // namespace diffucoder
