// The functions that main.swift calls. Texts are valid until the next call.
#include "engine.h"

#include "AppleAudio.h"

namespace {

using namespace testing;

template <typename Body>
const char* answer(Body body) {
  static thread_local std::string text;
  try {
    text = body();
  } catch (const std::exception& error) {
    text = std::string("failed: ") + error.what();
  }
  return text.c_str();
}

Test& of(void* handle) { return **static_cast<Handle*>(handle); }

}  // namespace

extern "C" {

void* test_open() {
  AudioPlatform::set(appleAudio());
  return new Handle(std::make_shared<Test>());
}

const char* test_start(void* handle, const char* options) {
  return answer([&] { return of(handle).start(options); });
}

void test_stop(void* handle) { of(handle).stop(); }

void test_hold(void* handle, bool isHeld) { of(handle).run->hold(isHeld); }

const char* test_apply(void* handle, const char* fields) {
  return answer([&] { return of(handle).call(fields); });
}

const char* test_next(void* handle) {
  return answer([&] { return of(handle).next(); });
}

const char* test_news(void* handle) {
  return answer([&] { return of(handle).told(); });
}

void test_close(void* handle) { close(static_cast<Handle*>(handle)); }

}  // extern "C"
