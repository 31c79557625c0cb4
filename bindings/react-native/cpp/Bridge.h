// What native threads share with the JavaScript runtime: results go to it through the runtime's CallInvoker.
#pragma once

#include <ReactCommon/CallInvoker.h>
#include <jsi/jsi.h>
#include <react/bridging/CallbackWrapper.h>

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "tertulia.h"

namespace tertulia {

namespace jsi = facebook::jsi;
namespace react = facebook::react;

/// An error of the library's.
struct Failure {
  int32_t code = TERTULIA_OK;
  std::string detail;
  bool retryable = false;

  /// The error of a call, which is freed; its code counts where there is no error.
  static Failure take(int32_t code, tertulia_error* error);
};

/// Makes a value once the JavaScript thread has the runtime.
using Value = std::function<jsi::Value(jsi::Runtime&)>;
/// The end of a task.
using Outcome = std::variant<Value, Failure>;

class AudioRun;
class Engine;

/// The way into one runtime. It holds nothing of JavaScript's itself: the functions belong to the runtime, which drops them
/// before it ends, and what comes later is dropped with them.
class Bridge : public std::enable_shared_from_this<Bridge> {
 public:
  explicit Bridge(std::shared_ptr<react::CallInvoker> invoker) : invoker_(std::move(invoker)) {}

  /// `deliver(kind, id, value)` takes all that comes from native threads; `makeError(code, name, retryable, detail)` makes
  /// errors. JavaScript thread.
  void connect(jsi::Runtime& runtime, jsi::Function deliver, jsi::Function makeError);

  /// Delivers a value; any thread. `before` is called on the JavaScript thread first.
  void deliver(const char* kind, double id, Value value, std::function<void()> before = {});

  /// Ends a task; any thread.
  void settle(double task, Outcome outcome);

  /// An error of JavaScript's; JavaScript thread.
  jsi::Value error(jsi::Runtime& runtime, const Failure& failure);

  /// Throws the error of a call that failed; JavaScript thread.
  void check(jsi::Runtime& runtime, int32_t code, tertulia_error* error);

  /// Keeps in mind an engine, which does not outlive the runtime.
  void add(const std::shared_ptr<Engine>& engine);
  void add(const std::shared_ptr<AudioRun>& audio);

  /// The runtime ends: stops all audio and shuts all engines down, on threads of their own.
  void close();

 private:
  const std::shared_ptr<react::CallInvoker> invoker_;
  std::mutex mutex_;
  std::weak_ptr<react::CallbackWrapper> deliver_;
  std::weak_ptr<react::CallbackWrapper> makeError_;
  std::vector<std::weak_ptr<Engine>> engines_;
  std::vector<std::weak_ptr<AudioRun>> audios_;
};

}  // namespace tertulia
