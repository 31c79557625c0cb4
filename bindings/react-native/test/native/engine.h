// A session on scripted backends, for the tests of a platform's audio: the recogniser gives the number of samples, the chat
// model a fixed reply, the voice 1,600 samples for each word.
#pragma once

#include <future>
#include <stdexcept>
#include <vector>

#include "Audio.h"

namespace testing {

using namespace tertulia;

inline void check(int32_t code, tertulia_error* error) {
  if (code == TERTULIA_OK) return;
  std::string detail = tertulia_error_detail(error);
  tertulia_error_free(error);
  throw std::runtime_error(detail);
}

inline int32_t recognize(void*, const char*, const float*, size_t count, tertulia_sink* sink) {
  tertulia_sink_transcript(sink, (std::to_string(count) + " samples").c_str(), nullptr);
  tertulia_sink_done(sink, nullptr);
  return tertulia_sink_free(sink);
}

inline int32_t reply(void*, const char*, tertulia_sink* sink) {
  tertulia_sink_text(sink, "Uno dos tres.", nullptr);
  tertulia_sink_done(sink, nullptr);
  return tertulia_sink_free(sink);
}

inline int32_t speak(void*, const char* json, tertulia_sink* sink) {
  // The text holds nothing that JSON writes otherwise.
  std::string request = json, text = request.substr(request.find(R"("text":")") + 8);
  text.resize(text.find('"'));
  const std::vector<float> word(1'600, 0.5f);
  for (size_t start = 0; start < text.size();) {
    auto end = std::min(text.find(' ', start), text.size() - 1) + 1;
    tertulia_sink_audio(sink, word.data(), word.size(), 16'000, start, end, nullptr);
    start = end;
  }
  tertulia_sink_done(sink, nullptr);
  return tertulia_sink_free(sink);
}

/// The audio's threads keep it, too.
struct Test : std::enable_shared_from_this<Test> {
  tertulia_engine* engine = nullptr;
  std::shared_ptr<tertulia_session> session;
  std::string id;
  std::shared_ptr<Feed> feed = std::make_shared<Feed>();
  std::shared_ptr<AudioRun> run;
  std::mutex mutex;
  std::string news;

  Test() {
    tertulia_backend recognizer{}, chat{}, voice{};
    for (auto* backend : {&recognizer, &chat, &voice}) {
      backend->struct_size = sizeof *backend;
      backend->name = "test";
      backend->languages = "en, es";
    }
    recognizer.recognize = recognize;
    chat.request = reply;
    voice.request = speak;
    tertulia_backends table{};
    table.struct_size = sizeof table;
    table.recognizer = &recognizer;
    table.chat = &chat;
    table.synthesizer = &voice;
    tertulia_error* error = nullptr;
    auto code = tertulia_engine_open(R"({"models":{"vad":"none","turn_detector":"none"}})", &table, &engine, &error);
    check(code, error);
    auto answer = apply(R"({"type":"create_session","config":{"native":"en","target":"es","playback":"reported"}})");
    id = answer.substr(answer.find(R"("session":")") + 11, 36);
    tertulia_session* raw = nullptr;
    error = nullptr;
    code = tertulia_engine_session(engine, id.c_str(), &raw, &error);
    check(code, error);
    session.reset(raw, tertulia_session_free);
  }
  ~Test() { tertulia_engine_free(engine); }

  std::string apply(const std::string& command) {
    tertulia_data* answer = nullptr;
    tertulia_error* error = nullptr;
    auto code = tertulia_engine_apply(engine, command.c_str(), &answer, &error);
    check(code, error);
    std::string json = tertulia_data_json(answer);
    tertulia_data_free(answer);
    return json;
  }

  /// Starts the audio; gives why it did not start, or the empty text.
  std::string start(const std::string& options) {
    if (!feed->begin()) throw std::runtime_error("the session has audio already");
    auto test = shared_from_this();
    auto apply = [test](const std::string& command) {
      try {
        test->apply(command);
      } catch (const std::exception&) {
        // The session is closed.
      }
    };
    auto onNews = [test](const char* news, const char*) {
      std::lock_guard<std::mutex> lock(test->mutex);
      test->news += test->news.empty() ? news : " " + std::string(news);
    };
    auto started = std::make_shared<std::promise<std::string>>();
    run = AudioRun::start({session, apply, id, feed, onNews}, options,
                          [started](const auto&, const std::string& why) { started->set_value(why); });
    return started->get_future().get();
  }

  void stop() {
    auto over = std::make_shared<std::promise<void>>();
    run->stop([over] { over->set_value(); });
    over->get_future().wait();
  }

  /// Makes a call of the session's, such as `"type":"interrupt"`.
  std::string call(const std::string& fields) { return apply("{" + fields + R"(,"session":")" + id + "\"}"); }

  /// The next event in JSON, or the empty text.
  std::string next() {
    SessionEvent event;
    feed->take(event);
    return event.json;
  }

  std::string told() {
    std::lock_guard<std::mutex> lock(mutex);
    return news;
  }
};

using Handle = std::shared_ptr<Test>;

/// Its audio ends, and with it what holds it.
inline void close(Handle* handle) {
  if (auto run = std::move((*handle)->run)) run->stop();
  delete handle;
}

}  // namespace testing
