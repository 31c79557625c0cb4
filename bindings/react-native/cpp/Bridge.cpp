#include "Bridge.h"

#include "Handles.h"

namespace tertulia {

Failure Failure::take(int32_t code, tertulia_error* error) {
  Failure failure{code, tertulia_error_detail(error), tertulia_error_is_retryable(error) != 0};
  tertulia_error_free(error);
  return failure;
}

void Bridge::connect(jsi::Runtime& runtime, jsi::Function deliver, jsi::Function makeError) {
  std::lock_guard<std::mutex> lock(mutex_);
  deliver_ = react::CallbackWrapper::createWeak(std::move(deliver), runtime, invoker_);
  makeError_ = react::CallbackWrapper::createWeak(std::move(makeError), runtime, invoker_);
}

void Bridge::deliver(const char* kind, double id, Value value, std::function<void()> before) {
  auto weak = weak_from_this();
  invoker_->invokeAsync([weak, kind, id, value = std::move(value), before = std::move(before)](jsi::Runtime& runtime) {
    if (before) before();
    auto self = weak.lock();
    if (!self) return;
    std::unique_lock<std::mutex> lock(self->mutex_);
    auto function = self->deliver_.lock();
    lock.unlock();
    if (!function) return;
    auto argument = value ? value(runtime) : jsi::Value::undefined();
    function->callback().call(runtime, jsi::String::createFromAscii(runtime, kind), id, argument);
  });
}

void Bridge::settle(double task, Outcome outcome) {
  if (auto* failure = std::get_if<Failure>(&outcome)) {
    auto weak = weak_from_this();
    deliver("failed", task, [weak, failure = *failure](jsi::Runtime& runtime) {
      auto self = weak.lock();
      return self ? self->error(runtime, failure) : jsi::Value::undefined();
    });
  } else {
    deliver("done", task, std::get<Value>(std::move(outcome)));
  }
}

jsi::Value Bridge::error(jsi::Runtime& runtime, const Failure& failure) {
  std::unique_lock<std::mutex> lock(mutex_);
  auto function = makeError_.lock();
  lock.unlock();
  if (!function) return jsi::String::createFromUtf8(runtime, failure.detail);
  return function->callback().call(
      runtime, failure.code, jsi::String::createFromAscii(runtime, tertulia_error_name(failure.code)), failure.retryable,
      jsi::String::createFromUtf8(runtime, failure.detail));
}

void Bridge::check(jsi::Runtime& runtime, int32_t code, tertulia_error* error) {
  if (code != TERTULIA_OK) throw jsi::JSError(runtime, this->error(runtime, Failure::take(code, error)));
}

void Bridge::add(const std::shared_ptr<Engine>& engine) {
  std::lock_guard<std::mutex> lock(mutex_);
  std::erase_if(engines_, [](const auto& engine) { return engine.expired(); });
  engines_.push_back(engine);
}

void Bridge::add(const std::shared_ptr<AudioRun>& audio) {
  std::lock_guard<std::mutex> lock(mutex_);
  std::erase_if(audios_, [](const auto& audio) { return audio.expired(); });
  audios_.push_back(audio);
}

void Bridge::close() {
  std::lock_guard<std::mutex> lock(mutex_);
  for (auto& weak : audios_) {
    if (auto audio = weak.lock()) audio->stop();
  }
  audios_.clear();
  for (auto& weak : engines_) {
    if (auto engine = weak.lock()) Reaper::take(engine->raw);
  }
  engines_.clear();
}

}  // namespace tertulia
