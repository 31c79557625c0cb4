#include "Audio.h"

#include <cstring>
#include <exception>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

namespace tertulia {

namespace {

/// How long a wish of the host's may wait, in ms.
constexpr uint64_t kWaitMs = 50;

// These outlive every thread: none of them is destroyed when the process exits.

struct Live {
  std::mutex mutex;
  std::shared_ptr<AudioPlatform> platform;
  std::unordered_map<uint64_t, std::shared_ptr<const AudioSession>> sessions;
  uint64_t last = 0;
};

Live& live() {
  static auto& live = *new Live;
  return live;
}

std::shared_ptr<const AudioSession> find(uint64_t id) {
  std::lock_guard<std::mutex> lock(live().mutex);
  auto found = live().sessions.find(id);
  return found == live().sessions.end() ? nullptr : found->second;
}

/// The number of a session while it has audio.
class Registered {
 public:
  explicit Registered(const AudioSession& session) {
    std::lock_guard<std::mutex> lock(live().mutex);
    id = ++live().last;
    live().sessions.emplace(id, std::make_shared<AudioSession>(session));
  }
  ~Registered() {
    std::lock_guard<std::mutex> lock(live().mutex);
    live().sessions.erase(id);
  }
  Registered(const Registered&) = delete;
  Registered& operator=(const Registered&) = delete;

  uint64_t id;
};

/// The reading thread learns from the session's events that it is closed; others need not.
void ignore(tertulia_error* error) { tertulia_error_free(error); }

void tell(uint64_t id, const char* type) {
  if (auto session = find(id)) session->apply(R"({"type":")" + std::string(type) + R"(","session":")" + session->id + "\"}");
}

/// True for an event of this type: in JSON no quotation mark stands inside a text without a backslash before it.
bool isOf(const char* json, const char* type) {
  return std::strstr(json, (R"("type":")" + std::string(type) + "\"").c_str()) != nullptr;
}

}  // namespace

std::shared_ptr<AudioPlatform> AudioPlatform::current() {
  std::lock_guard<std::mutex> lock(live().mutex);
  return live().platform;
}

void AudioPlatform::set(std::shared_ptr<AudioPlatform> platform) {
  std::lock_guard<std::mutex> lock(live().mutex);
  live().platform = std::move(platform);
}

void AudioCalls::push(uint64_t id, const float* samples, size_t count, uint32_t channels, uint32_t rate) {
  auto session = find(id);
  if (!session) return;
  tertulia_error* error = nullptr;
  if (channels == 1) {
    tertulia_session_push_audio(session->raw.get(), samples, count, rate, &error);
  } else {
    tertulia_session_push_interleaved(session->raw.get(), samples, count, channels, rate, &error);
  }
  ignore(error);
}

void AudioCalls::push(uint64_t id, const int16_t* samples, size_t count, uint32_t channels, uint32_t rate) {
  if (channels != 1) {
    std::vector<float> floats(samples, samples + count);
    for (auto& sample : floats) sample /= 32'768.0f;
    return push(id, floats.data(), count, channels, rate);
  }
  auto session = find(id);
  if (!session) return;
  tertulia_error* error = nullptr;
  tertulia_session_push_audio_i16(session->raw.get(), samples, count, rate, &error);
  ignore(error);
}

void AudioCalls::interrupted(uint64_t id) { tell(id, "input_interrupted"); }

void AudioCalls::resumed(uint64_t id) { tell(id, "input_resumed"); }

void AudioCalls::played(uint64_t id, uint64_t turn, uint64_t samplesTotal) {
  auto session = find(id);
  if (!session) return;
  tertulia_error* error = nullptr;
  tertulia_session_played(session->raw.get(), turn, samplesTotal, &error);
  ignore(error);
}

void AudioCalls::news(uint64_t id, const char* news, const char* detail) {
  if (auto session = find(id)) session->onNews(news, detail);
}

bool Feed::begin() {
  std::lock_guard<std::mutex> lock(mutex_);
  return !std::exchange(isTaken_, true);
}

void Feed::end() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    isTaken_ = false;
  }
  wake();
}

bool Feed::isTaken() {
  std::lock_guard<std::mutex> lock(mutex_);
  return isTaken_;
}

void Feed::put(SessionEvent event) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    events_.push_back(std::move(event));
  }
  wake();
}

bool Feed::take(SessionEvent& event) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (events_.empty()) return isTaken_;
  event = std::move(events_.front());
  events_.pop_front();
  return true;
}

void Feed::watch(uint64_t id, std::function<void()> wake) {
  std::lock_guard<std::mutex> lock(mutex_);
  watches_.emplace_back(id, std::move(wake));
}

void Feed::unwatch(uint64_t id) {
  std::lock_guard<std::mutex> lock(mutex_);
  std::erase_if(watches_, [id](const auto& watch) { return watch.first == id; });
}

void Feed::wake() {
  std::unique_lock<std::mutex> lock(mutex_);
  auto watches = watches_;
  lock.unlock();
  for (auto& [id, wake] : watches) wake();
}

std::shared_ptr<AudioRun> AudioRun::start(AudioSession session, std::string options, OnStart onStart) {
  std::shared_ptr<AudioRun> run(new AudioRun(std::move(session), std::move(options)));
  std::thread([run, onStart = std::move(onStart)] {
    run->run([&](const std::string& why) { onStart(run, why); });
  }).detach();
  return run;
}

void AudioRun::stop(std::function<void()> onEnd) {
  isStopping_ = true;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (!isOver_) {
      if (onEnd) onEnd_.push_back(std::move(onEnd));
      return;
    }
  }
  if (onEnd) onEnd();
}

void AudioRun::hold(bool isHeld) { holds_ = isHeld ? 1 : 2; }

void AudioRun::run(const std::function<void(const std::string&)>& onStart) {
  {
    Registered registered(session_);
    std::unique_ptr<AudioDevices> devices;
    std::string why;
    try {
      devices = AudioPlatform::current()->open(registered.id, options_);
    } catch (const std::exception& error) {
      why = error.what();
    }
    onStart(why);
    while (devices && !isStopping_ && step(*devices)) continue;
  }
  session_.feed->end();
  session_.onNews("closed", "");
  std::deque<std::function<void()>> ends;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    isOver_ = true;
    ends.swap(onEnd_);
  }
  for (auto& end : ends) end();
}

/// Waits for the next event and does what it asks of the devices; false after the last.
bool AudioRun::step(AudioDevices& devices) {
  if (auto holds = holds_.exchange(0)) devices.hold(holds == 1);
  tertulia_event* raw = nullptr;
  tertulia_error* error = nullptr;
  auto code = tertulia_session_next_event(session_.raw.get(), kWaitMs, &raw, &error);
  ignore(error);
  if (code != TERTULIA_OK) return false;
  if (raw == nullptr) return true;
  std::unique_ptr<tertulia_event, decltype(&tertulia_event_free)> event(raw, tertulia_event_free);
  const char* json = tertulia_event_json(raw);
  auto turn = tertulia_event_turn(raw);
  size_t count = 0;
  uint32_t rate = 0;
  if (const float* samples = tertulia_event_audio(raw, &count, &rate)) {
    devices.play(turn, samples, count, rate);
  } else if (isOf(json, "playback_pause")) {
    devices.pause();
  } else if (isOf(json, "playback_resume")) {
    devices.resume();
  } else if (isOf(json, "playback_flush")) {
    devices.flush(turn);
  }
  session_.feed->put({json, nullptr});
  return true;
}

}  // namespace tertulia
