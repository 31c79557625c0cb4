#include "Functions.h"

namespace tertulia {

namespace {

/// Tells JavaScript of changes of a session's audio, under the number `watch`; any thread.
std::function<void(const char*, const char*)> newsOf(std::weak_ptr<Bridge> weak, double watch) {
  return [weak = std::move(weak), watch](const char* news, const char* detail) {
    auto bridge = weak.lock();
    if (!bridge) return;
    bridge->deliver("audio", watch, [news = std::string(news), detail = std::string(detail)](jsi::Runtime& runtime) {
      jsi::Object object(runtime);
      object.setProperty(runtime, "news", string(runtime, news.c_str()));
      object.setProperty(runtime, "detail", string(runtime, detail.c_str()));
      return object;
    });
  };
}

[[noreturn]] void fail(const Arguments& arguments, int32_t code, const char* detail) {
  throw jsi::JSError(arguments.runtime, arguments.bridge->error(arguments.runtime, {code, detail}));
}

/// startAudio(task, session, options, watch): the audio, once it runs.
jsi::Value startAudio(const Arguments& arguments) {
  auto task = arguments.number(0);
  auto session = arguments.handle<Session>(1);
  auto options = arguments.text(2);
  std::weak_ptr<Bridge> weak = arguments.bridge;
  AudioSession used{session->owned,
                    [engine = session->engine](const std::string& command) {
                      auto live = engine.lock();
                      if (!live) return;
                      tertulia_data* answer = nullptr;
                      tertulia_error* error = nullptr;
                      tertulia_engine_apply(live->raw, command.c_str(), &answer, &error);
                      tertulia_error_free(error);
                      tertulia_data_free(answer);
                    },
                    session->id, session->feed, newsOf(weak, arguments.number(3))};
  if (!AudioPlatform::current()) fail(arguments, TERTULIA_ERROR_UNSUPPORTED, "this platform has no audio of the package's");
  if (session->feed->isTaken()) fail(arguments, TERTULIA_ERROR_EVENTS_TAKEN, "the session has audio already");
  // Where another handle reads the events this fails.
  tertulia_error* error = nullptr;
  arguments.check(session->setWakeup(&error), error);
  session->feed->begin();
  auto onStart = [weak, task](const std::shared_ptr<AudioRun>& run, const std::string& why) {
    auto bridge = weak.lock();
    if (!bridge) return;
    if (!why.empty()) return bridge->settle(task, Failure{TERTULIA_ERROR_HOST_CALLBACK, why});
    auto audio = std::make_shared<Audio>(run);
    bridge->settle(task, [audio](jsi::Runtime& runtime) { return jsi::Object::createFromHostObject(runtime, audio); });
  };
  arguments.bridge->add(AudioRun::start(std::move(used), std::move(options), onStart));
  return jsi::Value::undefined();
}

/// stopAudio(task, audio)
jsi::Value stopAudio(const Arguments& arguments) {
  arguments.handle<Audio>(1)->run->stop([task = arguments.number(0), weak = std::weak_ptr(arguments.bridge)] {
    if (auto bridge = weak.lock()) bridge->settle(task, valueOf(nullptr));
  });
  return jsi::Value::undefined();
}

}  // namespace

void addAudioFunctions(Functions& functions) {
  functions.add("startAudio", startAudio);
  functions.add("stopAudio", stopAudio);
  functions.add("holdAudio", [](const Arguments& arguments) {
    arguments.handle<Audio>(0)->run->hold(arguments.number(1) != 0);
    return jsi::Value::undefined();
  });
}

}  // namespace tertulia
