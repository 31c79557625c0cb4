// Devices of the tests, which JavaScript drives as `devices.…`: a microphone that gives what it is told to, and a loudspeaker
// that plays as much as it is told to.
#include <map>

#include "Functions.h"

using namespace tertulia;

namespace {

struct State {
  std::mutex mutex;
  uint64_t id = 0;
  int open = 0;
  bool fails = false;
  std::string options;
  std::vector<std::string> calls;
  std::map<uint64_t, uint64_t> taken;
};

State& state() {
  static auto& state = *new State;
  return state;
}

void record(const std::string& call) {
  std::lock_guard<std::mutex> lock(state().mutex);
  state().calls.push_back(call);
}

class Devices : public AudioDevices {
 public:
  explicit Devices(uint64_t id) : id_(id) {}
  ~Devices() override {
    record("close");
    std::lock_guard<std::mutex> lock(state().mutex);
    state().open--;
  }
  void play(uint64_t turn, const float* samples, size_t count, uint32_t rate) override {
    if (rate == 0 || samples[count - 1] != 0.25f) record("samples of another sound");
    std::lock_guard<std::mutex> lock(state().mutex);
    state().taken[turn] += count;
  }
  void pause() override { record("pause"); }
  void resume() override { record("resume"); }
  void flush(uint64_t turn) override {
    record("flush");
    AudioCalls::played(id_, turn, 0);
  }
  void hold(bool isHeld) override {
    record(isHeld ? "hold" : "unhold");
    isHeld ? AudioCalls::interrupted(id_) : AudioCalls::resumed(id_);
    AudioCalls::news(id_, isHeld ? "interrupted" : "resumed", "");
  }

 private:
  const uint64_t id_;
};

class Platform : public AudioPlatform {
 public:
  std::unique_ptr<AudioDevices> open(uint64_t id, const std::string& options) override {
    std::lock_guard<std::mutex> lock(state().mutex);
    if (state().fails) throw std::runtime_error("no devices");
    state().id = id;
    state().open++;
    state().options = options;
    state().calls.clear();
    state().taken.clear();
    return std::make_unique<Devices>(id);
  }
};

uint64_t id() {
  std::lock_guard<std::mutex> lock(state().mutex);
  return state().id;
}

}  // namespace

void addDevices(jsi::Runtime& runtime, std::function<std::shared_ptr<Bridge>()> bridge) {
  Functions functions(runtime, bridge());
  // set(how): 0 none, 1 working, 2 failing
  functions.add("set", [](const Arguments& arguments) {
    auto how = arguments.number(0);
    AudioPlatform::set(how == 0 ? nullptr : std::make_shared<Platform>());
    std::lock_guard<std::mutex> lock(state().mutex);
    state().fails = how == 2;
    return jsi::Value::undefined();
  });
  functions.add("open", [](const Arguments&) {
    std::lock_guard<std::mutex> lock(state().mutex);
    return jsi::Value(state().open);
  });
  functions.add("options", [](const Arguments& arguments) {
    std::lock_guard<std::mutex> lock(state().mutex);
    return string(arguments.runtime, state().options.c_str());
  });
  functions.add("calls", [](const Arguments& arguments) {
    std::lock_guard<std::mutex> lock(state().mutex);
    std::string all;
    for (auto& call : state().calls) all += (all.empty() ? "" : " ") + call;
    return string(arguments.runtime, all.c_str());
  });
  functions.add("taken", [](const Arguments& arguments) {
    std::lock_guard<std::mutex> lock(state().mutex);
    return jsi::Value(static_cast<double>(state().taken[arguments.whole(0)]));
  });
  // push(buffer, start, length, rate, channels): floats on a thread of their own, as a platform's
  functions.add("push", [](const Arguments& arguments) {
    auto [samples, count] = arguments.samples<float>(0);
    std::thread([id = id(), samples = std::vector<float>(samples, samples + count), rate = arguments.small(3),
                 channels = arguments.small(4)] { AudioCalls::push(id, samples.data(), samples.size(), channels, rate); })
        .join();
    return jsi::Value::undefined();
  });
  functions.add("pushShorts", [](const Arguments& arguments) {
    auto [samples, count] = arguments.samples<int16_t>(0);
    AudioCalls::push(id(), samples, count, arguments.small(4), arguments.small(3));
    return jsi::Value::undefined();
  });
  functions.add("news", [](const Arguments& arguments) {
    AudioCalls::news(id(), arguments.text(0).c_str(), arguments.text(1).c_str());
    return jsi::Value::undefined();
  });
  functions.add("played", [](const Arguments& arguments) {
    AudioCalls::played(id(), arguments.whole(0), arguments.whole(1));
    return jsi::Value::undefined();
  });
  functions.add("interrupted", [](const Arguments&) {
    AudioCalls::interrupted(id());
    return jsi::Value::undefined();
  });
  functions.add("resumed", [](const Arguments&) {
    AudioCalls::resumed(id());
    return jsi::Value::undefined();
  });
  runtime.global().setProperty(runtime, "devices", functions.take());
}
