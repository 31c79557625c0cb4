#include "Handles.h"

namespace tertulia {

namespace {

// These outlive every thread: none of them is destroyed when the process exits.

struct Reaping {
  std::mutex mutex;
  std::condition_variable changed;
  int count = 0;
};

Reaping& reaping() {
  static auto& reaping = *new Reaping;
  return reaping;
}

/// The target of a wakeup; a second one is not posted before the first arrived.
struct Target {
  std::weak_ptr<Bridge> bridge;
  std::atomic<bool> isPosted = false;
};

struct Targets {
  std::mutex mutex;
  std::unordered_map<uint64_t, std::shared_ptr<Target>> live;
};

Targets& targets() {
  static auto& targets = *new Targets;
  return targets;
}

std::atomic<uint64_t> nextWatch = 1;

}  // namespace

void Reaper::take(tertulia_engine* engine) {
  {
    std::lock_guard<std::mutex> lock(reaping().mutex);
    reaping().count++;
  }
  Lane::apart([engine] {
    // One that was freed already is an error and no harm.
    tertulia_engine_free(engine);
    std::lock_guard<std::mutex> lock(reaping().mutex);
    reaping().count--;
    reaping().changed.notify_all();
  });
}

void Reaper::wait(std::chrono::milliseconds timeout) {
  std::unique_lock<std::mutex> lock(reaping().mutex);
  reaping().changed.wait_for(lock, timeout, [] { return reaping().count == 0; });
}

Watch::Watch(std::weak_ptr<Bridge> bridge) : id(nextWatch++) {
  auto target = std::make_shared<Target>();
  target->bridge = std::move(bridge);
  std::lock_guard<std::mutex> lock(targets().mutex);
  targets().live.emplace(id, std::move(target));
}

Watch::~Watch() {
  std::lock_guard<std::mutex> lock(targets().mutex);
  targets().live.erase(id);
}

void Watch::wake(void* userData) noexcept {
  auto id = static_cast<uint64_t>(reinterpret_cast<uintptr_t>(userData));
  std::shared_ptr<Target> target;
  {
    std::lock_guard<std::mutex> lock(targets().mutex);
    auto found = targets().live.find(id);
    if (found == targets().live.end()) return;
    target = found->second;
  }
  if (target->isPosted.exchange(true)) return;
  if (auto bridge = target->bridge.lock()) {
    bridge->deliver("wake", static_cast<double>(id), {}, [target] { target->isPosted = false; });
  }
}

std::shared_ptr<Feed> Engine::feed(const std::string& session) {
  std::erase_if(feeds_, [](const auto& entry) { return entry.second.expired(); });
  auto feed = feeds_[session].lock();
  if (!feed) feeds_[session] = feed = std::make_shared<Feed>();
  return feed;
}

}  // namespace tertulia
