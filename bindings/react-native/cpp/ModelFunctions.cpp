#include "Functions.h"

namespace tertulia {

namespace {

/// Calls that read model files, each on a thread of its own: (task, folder, name, path)
using Call = std::function<Outcome(const char* folder, const char* name, const char* path)>;

Functions::Body ofFiles(Call call) {
  return [call = std::move(call)](const Arguments& arguments) {
    Lane::apart([call, task = arguments.number(0), folder = arguments.optionalText(1), name = arguments.optionalText(2),
                 path = arguments.optionalText(3), weak = std::weak_ptr(arguments.bridge)] {
      auto outcome = call(pointer(folder), pointer(name), pointer(path));
      if (auto bridge = weak.lock()) bridge->settle(task, std::move(outcome));
    });
    return jsi::Value::undefined();
  };
}

/// The runtime that the log goes to: the process has one log for good, and runtimes come and go.
struct Log {
  std::mutex mutex;
  std::weak_ptr<Bridge> bridge;
  bool isSet = false;
};

Log& theLog() {
  static auto& log = *new Log;
  return log;
}

void onLine(void*, int32_t level, const char* target, const char* line) noexcept {
  std::unique_lock<std::mutex> lock(theLog().mutex);
  auto bridge = theLog().bridge.lock();
  lock.unlock();
  if (!bridge) return;
  bridge->deliver("log", level, [target = std::string(target), line = std::string(line)](jsi::Runtime& runtime) {
    jsi::Object object(runtime);
    object.setProperty(runtime, "target", string(runtime, target.c_str()));
    object.setProperty(runtime, "line", string(runtime, line.c_str()));
    return jsi::Value(std::move(object));
  });
}

/// setLog(level): the first call's level counts.
jsi::Value setLog(const Arguments& arguments) {
  auto level = static_cast<int32_t>(arguments.small(0));
  std::unique_lock<std::mutex> lock(theLog().mutex);
  theLog().bridge = arguments.bridge;
  if (theLog().isSet) return jsi::Value::undefined();
  tertulia_error* error = nullptr;
  auto code = tertulia_set_log(onLine, nullptr, level, &error);
  theLog().isSet = code == TERTULIA_OK;
  lock.unlock();
  arguments.check(code, error);
  return jsi::Value::undefined();
}

}  // namespace

void addModelFunctions(Functions& functions) {
  functions.add("modelsList", ofFiles([](auto* folder, auto*, auto*) {
                  tertulia_data* models = nullptr;
                  tertulia_error* error = nullptr;
                  auto code = tertulia_models_list(folder, &models, &error);
                  return outcome(code, error, models);
                }));
  functions.add("modelsPlan", ofFiles([](auto* folder, auto* names, auto*) {
                  tertulia_data* plan = nullptr;
                  tertulia_error* error = nullptr;
                  auto code = tertulia_models_plan(folder, names, &plan, &error);
                  return outcome(code, error, plan);
                }));
  functions.add("modelsInstall", ofFiles([](auto* folder, auto* name, auto* path) {
                  tertulia_error* error = nullptr;
                  auto code = tertulia_models_install(folder, name, path, &error);
                  return outcome(code, error);
                }));
  functions.add("modelsRemove", ofFiles([](auto* folder, auto* name, auto*) {
                  tertulia_error* error = nullptr;
                  auto code = tertulia_models_remove(folder, name, &error);
                  return outcome(code, error);
                }));
  functions.add("modelsVerify", ofFiles([](auto* folder, auto* name, auto*) {
                  tertulia_error* error = nullptr;
                  auto code = tertulia_models_verify(folder, name, &error);
                  return outcome(code, error);
                }));
  functions.add("setLog", setLog);
}

}  // namespace tertulia
