// The microphone and the loudspeaker of a session: its audio moves between the library and a platform's devices, by native
// threads alone. Without JSI, so that every platform's part can be run without React Native.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "tertulia.h"

namespace tertulia {

/// A platform's devices at work. Calls come from one thread; the destructor stops all, and is the last.
class AudioDevices {
 public:
  virtual ~AudioDevices() = default;
  /// Plays mono samples after those that are there.
  virtual void play(uint64_t turn, const float* samples, size_t count, uint32_t rate) = 0;
  virtual void pause() = 0;
  virtual void resume() = 0;
  /// Drops what was not played, and reports a last time how much of the turn was.
  virtual void flush(uint64_t turn) = 0;
  /// The host wants the devices to be let go for a time, or to be had again.
  virtual void hold(bool isHeld) = 0;
};

/// A platform that has devices.
class AudioPlatform {
 public:
  virtual ~AudioPlatform() = default;
  /// Begins to hand over the microphone's samples and to play, for the session of this number; throws where it cannot.
  virtual std::unique_ptr<AudioDevices> open(uint64_t id, const std::string& options) = 0;
  /// The platform of this process, once it is set.
  static std::shared_ptr<AudioPlatform> current();
  static void set(std::shared_ptr<AudioPlatform> platform);
};

/// The calls of a platform by the number of its session, from any thread. One that comes late does nothing.
struct AudioCalls {
  static void push(uint64_t id, const float* samples, size_t count, uint32_t channels, uint32_t rate);
  static void push(uint64_t id, const int16_t* samples, size_t count, uint32_t channels, uint32_t rate);
  static void interrupted(uint64_t id);
  static void resumed(uint64_t id);
  static void played(uint64_t id, uint64_t turn, uint64_t samplesTotal);
  /// `news` is the type of an event in JavaScript, or a problem.
  static void news(uint64_t id, const char* news, const char* detail);
};

/// An event of a session's: its text in JSON, and the library's event where its samples are not played natively.
struct SessionEvent {
  std::string json;
  std::shared_ptr<tertulia_event> raw;
};

/// The events of one session, which audio reads first while there is some. All handles of the session share it.
class Feed {
 public:
  /// False where audio has it already.
  bool begin();
  void end();
  /// True while audio reads.
  bool isTaken();
  void put(SessionEvent event);
  /// Takes the next event that audio has read; false where the library is to be asked.
  bool take(SessionEvent& event);
  /// Has `wake` called when there may be a new event.
  void watch(uint64_t id, std::function<void()> wake);
  void unwatch(uint64_t id);

 private:
  void wake();

  std::mutex mutex_;
  std::deque<SessionEvent> events_;
  std::deque<std::pair<uint64_t, std::function<void()>>> watches_;
  bool isTaken_ = false;
};

/// A session as audio uses it. The calls come from any thread, and fail once the session is closed.
struct AudioSession {
  std::shared_ptr<const tertulia_session> raw;
  /// Makes a call that a command in JSON stands for.
  std::function<void(const std::string& command)> apply;
  std::string id;
  std::shared_ptr<Feed> feed;
  std::function<void(const char* news, const char* detail)> onNews;
};

/// The audio of one session, from its start until it is stopped or the session ends.
class AudioRun {
 public:
  /// The run, and why it did not start; empty where it did.
  using OnStart = std::function<void(const std::shared_ptr<AudioRun>& run, const std::string& why)>;

  /// Starts on a thread of its own, which tells so. The feed has begun.
  static std::shared_ptr<AudioRun> start(AudioSession session, std::string options, OnStart onStart);
  /// Wants it to end; does not wait. `onEnd` is called at once where it has ended.
  void stop(std::function<void()> onEnd = {});
  void hold(bool isHeld);

 private:
  AudioRun(AudioSession session, std::string options) : session_(std::move(session)), options_(std::move(options)) {}
  void run(const std::function<void(const std::string&)>& onStart);
  bool step(AudioDevices& devices);

  const AudioSession session_;
  const std::string options_;
  std::mutex mutex_;
  std::deque<std::function<void()>> onEnd_;
  bool isOver_ = false;
  std::atomic<bool> isStopping_ = false;
  /// 0 nothing, 1 to let go, 2 to have again.
  std::atomic<int> holds_ = 0;
};

}  // namespace tertulia
