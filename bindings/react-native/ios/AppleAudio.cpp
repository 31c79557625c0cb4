#include "AppleAudio.h"

#include <stdexcept>

// In TertuliaAudio.swift.
extern "C" {
void* tertulia_apple_audio_open(uint64_t id, bool managesFocus, bool asksForPermission,
                                void (*push)(uint64_t, const float*, intptr_t, uint32_t), void (*input)(uint64_t, bool),
                                void (*played)(uint64_t, uint64_t, uint64_t),
                                void (*news)(uint64_t, const char*, const char*));
void tertulia_apple_audio_play(void* audio, uint64_t turn, const float* samples, intptr_t count, uint32_t rate);
void tertulia_apple_audio_command(void* audio, int32_t command);
void tertulia_apple_audio_close(void* audio);
}

namespace tertulia {

namespace {

enum Command : int32_t { kPause, kResume, kFlush, kStart, kHold };

void push(uint64_t id, const float* samples, intptr_t count, uint32_t rate) {
  AudioCalls::push(id, samples, static_cast<size_t>(count), 1, rate);
}

void input(uint64_t id, bool isThere) { isThere ? AudioCalls::resumed(id) : AudioCalls::interrupted(id); }

class Devices : public AudioDevices {
 public:
  explicit Devices(void* audio) : audio_(audio) {}
  ~Devices() override { tertulia_apple_audio_close(audio_); }
  void play(uint64_t turn, const float* samples, size_t count, uint32_t rate) override {
    tertulia_apple_audio_play(audio_, turn, samples, static_cast<intptr_t>(count), rate);
  }
  void pause() override { tertulia_apple_audio_command(audio_, kPause); }
  void resume() override { tertulia_apple_audio_command(audio_, kResume); }
  void flush(uint64_t) override { tertulia_apple_audio_command(audio_, kFlush); }
  void hold(bool isHeld) override { tertulia_apple_audio_command(audio_, isHeld ? kHold : kStart); }

 private:
  void* const audio_;
};

class Apple : public AudioPlatform {
 public:
  std::unique_ptr<AudioDevices> open(uint64_t id, const std::string& options) override {
    // The package itself writes the options.
    auto isOff = [&](const char* name) { return options.find('"' + std::string(name) + "\":false") != std::string::npos; };
    void* audio = tertulia_apple_audio_open(id, !isOff("managesFocus"), !isOff("asksForPermission"), push, input,
                                            AudioCalls::played, AudioCalls::news);
    if (audio == nullptr) throw std::runtime_error("the app has set no device");
    return std::make_unique<Devices>(audio);
  }
};

}  // namespace

std::shared_ptr<AudioPlatform> appleAudio() { return std::make_shared<Apple>(); }

}  // namespace tertulia
