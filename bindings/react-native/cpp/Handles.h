// Handles of the library that JavaScript objects own. Their destructors run in a garbage collector: none of them waits.
#pragma once

#include <atomic>
#include <chrono>
#include <unordered_map>

#include "Audio.h"
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

/// Takes an event of the library's.
template <typename Next>
int32_t take(SessionEvent& event, Next next) {
  tertulia_event* raw = nullptr;
  auto code = next(&raw);
  if (code != TERTULIA_OK || raw == nullptr) return code;
  event.raw = std::shared_ptr<tertulia_event>(raw, tertulia_event_free);
  event.json = tertulia_event_json(raw);
  return code;
}

/// Where events are read.
class Source : public Handle {
 public:
  explicit Source(std::weak_ptr<Bridge> bridge) : watch(std::move(bridge)) {}
  /// The next event that is there; without a text where there is none.
  virtual int32_t next(SessionEvent& event, tertulia_error** error) = 0;
  virtual int32_t setWakeup(tertulia_error** error) = 0;
  const Watch watch;
};

class Engine : public Source {
 public:
  Engine(tertulia_engine* raw, std::weak_ptr<Bridge> bridge) : Source(std::move(bridge)), raw(raw) {}
  ~Engine() override { Reaper::take(raw); }
  int32_t next(SessionEvent& event, tertulia_error** error) override {
    return take(event, [&](auto** next) { return tertulia_engine_next_event(raw, 0, next, error); });
  }
  int32_t setWakeup(tertulia_error** error) override {
    return tertulia_engine_set_wakeup(raw, Watch::wake, watch.userData(), error);
  }

  /// The feed that all handles of a session share. JavaScript thread.
  std::shared_ptr<Feed> feed(const std::string& session);

  tertulia_engine* const raw;
  /// Calls that wait for the disk, in order.
  Lane lane;

 private:
  std::unordered_map<std::string, std::weak_ptr<Feed>> feeds_;
};

class Session : public Source {
 public:
  Session(tertulia_session* raw, std::string id, const std::shared_ptr<Engine>& engine, std::weak_ptr<Bridge> bridge)
      : Source(std::move(bridge)), owned(raw, tertulia_session_free), raw(raw), id(std::move(id)), engine(engine),
        feed(engine->feed(this->id)) {}
  ~Session() override { feed->unwatch(watch.id); }
  int32_t next(SessionEvent& event, tertulia_error** error) override {
    if (feed->take(event)) return TERTULIA_OK;
    return take(event, [&](auto** next) { return tertulia_session_next_event(raw, 0, next, error); });
  }
  int32_t setWakeup(tertulia_error** error) override {
    feed->unwatch(watch.id);
    feed->watch(watch.id, [data = watch.userData()] { Watch::wake(data); });
    // Audio that reads has set it first.
    if (feed->isTaken()) return TERTULIA_OK;
    return tertulia_session_set_wakeup(raw, Watch::wake, watch.userData(), error);
  }

  const std::shared_ptr<tertulia_session> owned;
  tertulia_session* const raw;
  const std::string id;
  /// A session does not keep its engine alive.
  const std::weak_ptr<Engine> engine;
  const std::shared_ptr<Feed> feed;
};

/// The audio of a session. Where JavaScript has no more of it, it ends.
class Audio : public Handle {
 public:
  explicit Audio(std::shared_ptr<AudioRun> run) : run(std::move(run)) {}
  ~Audio() override { run->stop(); }

  const std::shared_ptr<AudioRun> run;
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
