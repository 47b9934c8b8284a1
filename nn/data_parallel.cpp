#include "data_parallel.hpp"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <system_error>

namespace nn {

namespace detail {

namespace {

// Waits a little for what is about to happen: to sleep and be woken takes as long, mostly where a processor
// is a virtual one. It yields all the while, so that on a busy machine others compute.
template <class Happened>
void await(const Happened& happened) {
  using Clock = std::chrono::steady_clock;
  constexpr std::chrono::microseconds kPatience(50);
  for (const Clock::time_point start = Clock::now(); !happened() && Clock::now() - start < kPatience;)
    std::this_thread::yield();
}

}  // namespace

struct Workers::Shared {
  std::mutex mutex;
  std::condition_variable start, done;
  const Work* work = nullptr;
  std::size_t count = 0;
  std::atomic<std::size_t> pending{0};
  std::atomic<std::uint64_t> runs{0};
  bool stops = false;

  void serve(std::size_t i) {
    for (std::uint64_t seen = 0;;) {
      await([&] { return runs != seen; });
      {
        std::unique_lock lock(mutex);
        start.wait(lock, [&] { return stops || runs != seen; });
        if (stops) return;
        seen = runs;
        if (i >= count) continue;
      }
      (*work)(i);
      if (--pending > 0) continue;
      const std::scoped_lock lock(mutex);
      done.notify_one();
    }
  }
};

Workers::Workers(std::size_t threads) : shared_(std::make_unique<Shared>()) {
  try {
    for (std::size_t i = 1; i < threads; ++i)
      threads_.emplace_back([shared = shared_.get(), i] { shared->serve(i); });
  } catch (const std::system_error& error) {
    stop();
    fail("DataParallel: only ", threads_.size() + 1, " of ", threads, " threads could be had (", error.what(),
         "); ask for fewer");
  }
}

Workers::~Workers() { stop(); }

void Workers::stop() {
  {
    const std::scoped_lock lock(shared_->mutex);
    shared_->stops = true;
  }
  shared_->start.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void Workers::run(std::size_t count, const Work& work) {
  if (count > 1) {
    {
      const std::scoped_lock lock(shared_->mutex);
      shared_->work = &work;
      shared_->count = count;
      shared_->pending = count - 1;
      ++shared_->runs;
    }
    shared_->start.notify_all();
  }
  work(0);
  if (count > 1) {
    await([&] { return shared_->pending == 0; });
    std::unique_lock lock(shared_->mutex);
    shared_->done.wait(lock, [&] { return shared_->pending == 0; });
  }
}

PartMode::PartMode(const Mode* mode, std::uint32_t seed) {
  if (!mode) return;
  if (mode->training)
    training_.emplace(rng_.emplace(seed));
  else
    evaluation_.emplace();
}

std::uint32_t seed_of_part() {
  const Mode* const mode = random_context.mode;
  return mode && mode->training ? static_cast<std::uint32_t>(mode->rng->below(std::size_t{1} << 32)) : 0;
}

}  // namespace detail

DataParallel::DataParallel(std::size_t threads)
    : parts_(threads ? threads : std::max(1u, std::thread::hardware_concurrency())),
      workers_(parts_.size()) {}

DataParallel::~DataParallel() {
  workers_.run(parts_.size(), [this](std::size_t i) { parts_[i].gradients = {}; });
}

BatchGradients DataParallel::sum(std::size_t count) {
  for (std::size_t i = 0; i < count; ++i)
    if (parts_[i].error) {
      const std::exception_ptr error = parts_[i].error;
      for (Part& part : parts_) part.error = nullptr;
      std::rethrow_exception(error);
    }
  BatchGradients result{parts_[0].loss, std::move(parts_[0].gradients)};
  for (std::size_t i = 1; i < count; ++i) {
    result.loss += parts_[i].loss;
    result.gradients.add(parts_[i].gradients);
  }
  return result;
}

}  // namespace nn
