// A thread that does work in order. It starts with the first, and ends after the last once its owner is gone.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

namespace tertulia {

class Lane {
 public:
  Lane() = default;
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;

  /// Never waits for the thread: the owner may be collected on the JavaScript thread.
  ~Lane() {
    std::lock_guard<std::mutex> lock(state_->mutex);
    state_->isOwned = false;
    state_->changed.notify_one();
  }

  void post(std::function<void()> work) {
    std::lock_guard<std::mutex> lock(state_->mutex);
    state_->queue.push_back(std::move(work));
    state_->changed.notify_one();
    if (!state_->isRunning) {
      state_->isRunning = true;
      std::thread(run, state_).detach();
    }
  }

  /// Work that must not wait behind other work.
  static void apart(std::function<void()> work) { std::thread(std::move(work)).detach(); }

 private:
  struct State {
    std::mutex mutex;
    std::condition_variable changed;
    std::deque<std::function<void()>> queue;
    bool isOwned = true;
    bool isRunning = false;
  };

  static void run(std::shared_ptr<State> state) {
    std::unique_lock<std::mutex> lock(state->mutex);
    for (;;) {
      state->changed.wait(lock, [&] { return !state->queue.empty() || !state->isOwned; });
      if (state->queue.empty()) return;
      auto work = std::move(state->queue.front());
      state->queue.pop_front();
      lock.unlock();
      work();
      work = nullptr;
      lock.lock();
    }
  }

  const std::shared_ptr<State> state_ = std::make_shared<State>();
};

}  // namespace tertulia
