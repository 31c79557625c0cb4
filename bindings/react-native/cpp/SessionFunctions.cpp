#include "Functions.h"

namespace tertulia {

namespace {

/// nextEvent(source): undefined, or an object with `json`, and `audio` where it has some that is not played natively.
jsi::Value nextEvent(const Arguments& arguments) {
  auto& runtime = arguments.runtime;
  SessionEvent event;
  tertulia_error* error = nullptr;
  arguments.check(arguments.handle<Source>(0)->next(event, &error), error);
  if (event.json.empty()) return jsi::Value::undefined();
  jsi::Object object(runtime);
  object.setProperty(runtime, "json", string(runtime, event.json.c_str()));
  size_t count = 0;
  uint32_t rate = 0;
  const float* samples = event.raw ? tertulia_event_audio(event.raw.get(), &count, &rate) : nullptr;
  if (samples) object.setProperty(runtime, "audio", arrayBuffer(runtime, samples, count * sizeof *samples));
  return object;
}

/// watch(source): the number under which it is told that there may be a new event.
jsi::Value watch(const Arguments& arguments) {
  auto source = arguments.handle<Source>(0);
  tertulia_error* error = nullptr;
  arguments.check(source->setWakeup(&error), error);
  return static_cast<double>(source->watch.id);
}

jsi::Value session(const Arguments& arguments) {
  tertulia_session* raw = nullptr;
  tertulia_error* error = nullptr;
  auto engine = arguments.handle<Engine>(0);
  auto id = arguments.text(1);
  arguments.check(tertulia_engine_session(engine->raw, id.c_str(), &raw, &error), error);
  auto session = std::make_shared<Session>(raw, std::move(id), engine, arguments.bridge);
  return jsi::Object::createFromHostObject(arguments.runtime, std::move(session));
}

/// pushAudio(session, buffer, start, length, rate, channels)
jsi::Value pushAudio(const Arguments& arguments) {
  auto [samples, count] = arguments.samples<float>(1);
  auto channels = arguments.small(5);
  auto session = arguments.handle<Session>(0);
  tertulia_error* error = nullptr;
  auto code = channels == 1
                  ? tertulia_session_push_audio(session->raw, samples, count, arguments.small(4), &error)
                  : tertulia_session_push_interleaved(session->raw, samples, count, channels, arguments.small(4), &error);
  arguments.check(code, error);
  return jsi::Value::undefined();
}

template <typename Sample>
using Push = int32_t (*)(const tertulia_session*, const Sample*, size_t, uint32_t, tertulia_error**);

/// pushAudioI16 and pushPlayback(session, buffer, start, length, rate)
template <typename Sample>
Functions::Body push(Push<Sample> call) {
  return [call](const Arguments& arguments) {
    auto [samples, count] = arguments.samples<Sample>(1);
    tertulia_error* error = nullptr;
    arguments.check(call(arguments.handle<Session>(0)->raw, samples, count, arguments.small(4), &error), error);
    return jsi::Value::undefined();
  };
}

/// pushEncoded(session, buffer, start, length): the turn.
jsi::Value pushEncoded(const Arguments& arguments) {
  auto bytes = arguments.bytes(1);
  uint64_t turn = 0;
  tertulia_error* error = nullptr;
  auto code = tertulia_session_push_encoded(arguments.handle<Session>(0)->raw, bytes.data, bytes.size, &turn, &error);
  arguments.check(code, error);
  return static_cast<double>(turn);
}

using PushText = int32_t (*)(const tertulia_sink*, const char*, tertulia_error**);

/// sinkPartial, sinkTranscript and sinkText(sink, text)
Functions::Body pushText(PushText call) {
  return [call](const Arguments& arguments) {
    tertulia_error* error = nullptr;
    arguments.check(call(arguments.handle<Sink>(0)->raw, arguments.text(1).c_str(), &error), error);
    return jsi::Value::undefined();
  };
}

/// sinkAudio(sink, buffer, start, length, rate, spanStart, spanEnd)
jsi::Value sinkAudio(const Arguments& arguments) {
  auto [samples, count] = arguments.samples<float>(1);
  tertulia_error* error = nullptr;
  auto code = tertulia_sink_audio(arguments.handle<Sink>(0)->raw, samples, count, arguments.small(4), arguments.whole(5),
                                  arguments.whole(6), &error);
  arguments.check(code, error);
  return jsi::Value::undefined();
}

}  // namespace

void addSessionFunctions(Functions& functions) {
  functions.add("nextEvent", nextEvent);
  functions.add("watch", watch);
  functions.add("session", session);
  functions.add("pushAudio", pushAudio);
  functions.add("pushAudioI16", push<int16_t>(tertulia_session_push_audio_i16));
  functions.add("pushPlayback", push<float>(tertulia_session_push_playback));
  functions.add("pushEncoded", pushEncoded);
  functions.add("sinkPartial", pushText(tertulia_sink_partial));
  functions.add("sinkTranscript", pushText(tertulia_sink_transcript));
  functions.add("sinkText", pushText(tertulia_sink_text));
  functions.add("sinkAudio", sinkAudio);
  functions.add("sinkDone", [](const Arguments& arguments) {
    tertulia_error* error = nullptr;
    arguments.check(tertulia_sink_done(arguments.handle<Sink>(0)->raw, &error), error);
    return jsi::Value::undefined();
  });
  functions.add("sinkFail", [](const Arguments& arguments) {
    tertulia_error* error = nullptr;
    auto code = static_cast<int32_t>(arguments.small(1));
    auto failed = tertulia_sink_fail(arguments.handle<Sink>(0)->raw, code, arguments.text(2).c_str(), &error);
    arguments.check(failed, error);
    return jsi::Value::undefined();
  });
}

}  // namespace tertulia
