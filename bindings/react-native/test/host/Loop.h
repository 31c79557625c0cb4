// The JavaScript thread of the tests: a queue of calls and timers, as React Native's is, that drops what comes after its end.
#pragma once

#include <ReactCommon/CallInvoker.h>
#include <jsi/jsi.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>

using Clock = std::chrono::steady_clock;
using Task = std::function<void(facebook::jsi::Runtime&)>;

class Loop : public facebook::react::CallInvoker {
 public:
  using CallInvoker::invokeAsync;
  using CallInvoker::invokeSync;

  void invokeAsync(facebook::react::CallFunc&& call) noexcept override {
    std::lock_guard<std::mutex> lock(mutex_);
    if (isClosed_) return;
    queue_.push_back(std::move(call));
    changed_.notify_one();
  }

  void invokeSync(facebook::react::CallFunc&&) override { std::abort(); }

  double after(double ms, Task task) {
    auto due = Clock::now() + std::chrono::microseconds(static_cast<int64_t>(ms * 1000));
    std::lock_guard<std::mutex> lock(mutex_);
    timers_.emplace(std::pair(due, ++timer_), std::move(task));
    dues_[timer_] = due;
    return static_cast<double>(timer_);
  }

  void cancel(double id) {
    std::lock_guard<std::mutex> lock(mutex_);
    auto due = dues_.find(static_cast<uint64_t>(id));
    if (due == dues_.end()) return;
    timers_.erase({due->second, due->first});
    dues_.erase(due);
  }

  void end() { isEnding_ = true; }

  /// Runs until a task ends it.
  void run(facebook::jsi::Runtime& runtime) {
    while (!isEnding_) {
      auto task = take();
      task(runtime);
      runtime.drainMicrotasks();
    }
  }

  /// Drops everything, as a reload does; what threads still bring is dropped, too.
  void close() {
    std::deque<Task> queue;
    std::map<std::pair<Clock::time_point, uint64_t>, Task> timers;
    std::lock_guard<std::mutex> lock(mutex_);
    isClosed_ = true;
    queue.swap(queue_);
    timers.swap(timers_);
  }

 private:
  Task take() {
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
      // Timers first, so that neither starves the other.
      if (!timers_.empty() && timers_.begin()->first.first <= Clock::now()) {
        auto task = std::move(timers_.begin()->second);
        dues_.erase(timers_.begin()->first.second);
        timers_.erase(timers_.begin());
        return task;
      }
      if (!queue_.empty()) {
        auto task = std::move(queue_.front());
        queue_.pop_front();
        return task;
      }
      if (timers_.empty()) {
        if (changed_.wait_for(lock, std::chrono::seconds(120)) == std::cv_status::timeout) {
          fprintf(stderr, "nothing has happened for two minutes\n");
          std::_Exit(3);
        }
      } else {
        changed_.wait_until(lock, timers_.begin()->first.first);
      }
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Task> queue_;
  std::map<std::pair<Clock::time_point, uint64_t>, Task> timers_;
  std::map<uint64_t, Clock::time_point> dues_;
  uint64_t timer_ = 0;
  bool isClosed_ = false;
  bool isEnding_ = false;
};
