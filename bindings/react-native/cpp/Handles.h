// Handles of the library that JavaScript objects own. Their destructors run in a garbage collector: none of them waits.
#pragma once

#include <atomic>
#include <chrono>

#include "Bridge.h"
#include "Lane.h"

namespace tertulia {

/// Frees engines on threads of its own, since to shut one down takes time.
class Reaper {
 public:
  static void take(tertulia_engine* engine);
  /// Waits until no engine is being freed: one that the collector found may hold the store that is to be opened.
  static void wait(std::chrono::milliseconds timeout);
};

/// The calls of a wakeup function, by number, so that one that comes late finds nothing instead of freed memory.
class Watch {
 public:
  explicit Watch(std::weak_ptr<Bridge> bridge);
  ~Watch();
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  const uint64_t id;
  void* userData() const { return reinterpret_cast<void*>(static_cast<uintptr_t>(id)); }
  static void wake(void* userData) noexcept;
};

/// An object that JavaScript holds and hands back, and does not look into.
class Handle : public jsi::HostObject {};

/// Where events are read.
class Source : public Handle {
 public:
  explicit Source(std::weak_ptr<Bridge> bridge) : watch(std::move(bridge)) {}
  virtual int32_t next(tertulia_event** event, tertulia_error** error) = 0;
  virtual int32_t setWakeup(tertulia_error** error) = 0;
  const Watch watch;
};

class Engine : public Source {
 public:
  Engine(tertulia_engine* raw, std::weak_ptr<Bridge> bridge) : Source(std::move(bridge)), raw(raw) {}
  ~Engine() override { Reaper::take(raw); }
  int32_t next(tertulia_event** event, tertulia_error** error) override {
    return tertulia_engine_next_event(raw, 0, event, error);
  }
  int32_t setWakeup(tertulia_error** error) override {
    return tertulia_engine_set_wakeup(raw, Watch::wake, watch.userData(), error);
  }

  tertulia_engine* const raw;
  /// Calls that wait for the disk, in order.
  Lane lane;
};

class Session : public Source {
 public:
  Session(tertulia_session* raw, std::weak_ptr<Bridge> bridge) : Source(std::move(bridge)), raw(raw) {}
  ~Session() override { tertulia_session_free(raw); }
  int32_t next(tertulia_event** event, tertulia_error** error) override {
    return tertulia_session_next_event(raw, 0, event, error);
  }
  int32_t setWakeup(tertulia_error** error) override {
    return tertulia_session_set_wakeup(raw, Watch::wake, watch.userData(), error);
  }

  tertulia_session* const raw;
};

class Job : public Handle {
 public:
  explicit Job(tertulia_job* raw) : raw(raw) {}
  ~Job() override { tertulia_job_free(raw); }

  tertulia_job* const raw;
  /// Its work.
  Lane lane;
};

class Sink : public Handle {
 public:
  explicit Sink(tertulia_sink* raw) : raw(raw) {}
  ~Sink() override { tertulia_sink_free(raw); }

  tertulia_sink* const raw;
};

}  // namespace tertulia
