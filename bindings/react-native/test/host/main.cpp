// host BUNDLE.js [ARGUMENT…]: an app without a screen. JavaScriptCore behind React Native's JSI, its TurboModules with the
// module `Tertulia`, and a thread for JavaScript, which is this one.
#include <ReactCommon/TurboModuleBinding.h>
#include <jsc/JSCRuntime.h>
#include <react/bridging/LongLivedObject.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>
#include <unordered_map>

#include "Backends.h"
#include "Loop.h"
#include "TertuliaModule.h"

using namespace facebook;

void addDevices(jsi::Runtime& runtime, std::function<std::shared_ptr<tertulia::Bridge>()> bridge);
void addTesting(jsi::Runtime& runtime, std::function<std::shared_ptr<tertulia::Bridge>()> bridge);

namespace {

std::string read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error(path + " cannot be read");
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

/// One life of the app, from load to reload.
class App {
 public:
  App(std::vector<std::string> arguments, int generation) : arguments_(std::move(arguments)), generation_(generation) {
    react::TurboModuleBinding::install(
        *runtime_, [this](const std::string& name) { return module(name); }, nullptr, longLived_);
    addTimers();
    addHost();
    addDevices(*runtime_, [this] { return module("Tertulia")->bridge; });
    addTesting(*runtime_, [this] { return module("Tertulia")->bridge; });
  }

  /// As React Native does: the queue first, then the modules, then the runtime.
  ~App() {
    loop_->close();
    modules_.clear();
    longLived_->clear();
    react::LongLivedObjectCollection::get(*runtime_).clear();
    runtime_.reset();
  }

  /// Runs the bundle until it wants to end; true for a reload.
  bool run() {
    try {
      runtime_->evaluateJavaScript(std::make_shared<jsi::StringBuffer>(read(arguments_[0])), arguments_[0]);
      runtime_->drainMicrotasks();
      loop_->run(*runtime_);
    } catch (const jsi::JSError& error) {
      // The error's value must not outlive the runtime.
      throw std::runtime_error(error.getMessage() + "\n" + error.getStack());
    }
    return wantsReload_;
  }

  int code() const { return code_; }

 private:
  using Body = std::function<jsi::Value(jsi::Runtime&, const jsi::Value*, size_t)>;

  std::shared_ptr<react::TertuliaModule> module(const std::string& name) {
    if (name != react::TertuliaModule::kModuleName) return nullptr;
    auto& module = modules_[name];
    if (!module) module = std::make_shared<react::TertuliaModule>(loop_);
    return module;
  }

  void add(jsi::Object&& object, const char* name, Body body) {
    object.setProperty(*runtime_, name,
                       jsi::Function::createFromHostFunction(
                           *runtime_, jsi::PropNameID::forAscii(*runtime_, name), 0,
                           [body = std::move(body)](jsi::Runtime& runtime, const jsi::Value&, const jsi::Value* values,
                                                    size_t count) { return body(runtime, values, count); }));
  }

  void addTimers() {
    add(runtime_->global(), "setTimeout", [this](jsi::Runtime& runtime, const jsi::Value* values, size_t count) {
      auto function = std::make_shared<jsi::Function>(values[0].asObject(runtime).asFunction(runtime));
      return loop_->after(count > 1 && values[1].isNumber() ? values[1].asNumber() : 0,
                          [function](jsi::Runtime& runtime) { function->call(runtime); });
    });
    add(runtime_->global(), "clearTimeout", [this](jsi::Runtime&, const jsi::Value* values, size_t count) {
      if (count > 0 && values[0].isNumber()) loop_->cancel(values[0].asNumber());
      return jsi::Value::undefined();
    });
  }

  void addHost() {
    auto& rt = *runtime_;
    jsi::Object host(rt);
    host.setProperty(rt, "generation", generation_);
    jsi::Array list(rt, arguments_.size() - 1);
    for (size_t at = 1; at < arguments_.size(); at++) {
      list.setValueAtIndex(rt, at - 1, jsi::String::createFromUtf8(rt, arguments_[at]));
    }
    host.setProperty(rt, "arguments", std::move(list));
    rt.global().setProperty(rt, "host", host);
    auto text = [](jsi::Runtime& rt, const jsi::Value& value) { return value.asString(rt).utf8(rt); };
    add(rt.global().getPropertyAsObject(rt, "host"), "print", [text](jsi::Runtime& rt, const jsi::Value* values, size_t) {
      std::cout << text(rt, values[0]) << std::endl;
      return jsi::Value::undefined();
    });
    add(rt.global().getPropertyAsObject(rt, "host"), "read", [text](jsi::Runtime& rt, const jsi::Value* values, size_t) {
      auto bytes = read(text(rt, values[0]));
      return tertulia::arrayBuffer(rt, bytes.data(), bytes.size());
    });
    add(rt.global().getPropertyAsObject(rt, "host"), "readText", [text](jsi::Runtime& rt, const jsi::Value* values, size_t) {
      return jsi::String::createFromUtf8(rt, read(text(rt, values[0])));
    });
    add(rt.global().getPropertyAsObject(rt, "host"), "write", [text](jsi::Runtime& rt, const jsi::Value* values, size_t) {
      auto buffer = values[1].asObject(rt).getArrayBuffer(rt);
      std::ofstream file(text(rt, values[0]), std::ios::binary);
      file.write(reinterpret_cast<const char*>(buffer.data(rt)), static_cast<std::streamsize>(buffer.size(rt)));
      return jsi::Value(file.good());
    });
    add(rt.global().getPropertyAsObject(rt, "host"), "files", [text](jsi::Runtime& rt, const jsi::Value* values, size_t) {
      std::string names;
      for (auto& entry : std::filesystem::directory_iterator(text(rt, values[0]))) {
        names += entry.path().filename().string() + "\n";
      }
      return jsi::String::createFromUtf8(rt, names);
    });
    add(rt.global().getPropertyAsObject(rt, "host"), "now", [](jsi::Runtime&, const jsi::Value*, size_t) {
      return std::chrono::duration<double, std::milli>(Clock::now().time_since_epoch()).count();
    });
    add(rt.global().getPropertyAsObject(rt, "host"), "kill", [](jsi::Runtime&, const jsi::Value*, size_t) -> jsi::Value {
      std::raise(SIGKILL);
      return jsi::Value::undefined();
    });
    add(rt.global().getPropertyAsObject(rt, "host"), "reload", [this](jsi::Runtime&, const jsi::Value*, size_t) {
      wantsReload_ = true;
      loop_->end();
      return jsi::Value::undefined();
    });
    add(rt.global().getPropertyAsObject(rt, "host"), "exit", [this](jsi::Runtime&, const jsi::Value* values, size_t) {
      code_ = static_cast<int>(values[0].asNumber());
      loop_->end();
      return jsi::Value::undefined();
    });
  }

  const std::vector<std::string> arguments_;
  const int generation_;
  const std::shared_ptr<Loop> loop_ = std::make_shared<Loop>();
  const std::shared_ptr<react::LongLivedObjectCollection> longLived_ = std::make_shared<react::LongLivedObjectCollection>();
  std::unordered_map<std::string, std::shared_ptr<react::TertuliaModule>> modules_;
  std::unique_ptr<jsi::Runtime> runtime_ = jsc::makeJSCRuntime();
  bool wantsReload_ = false;
  int code_ = 0;
};

}  // namespace

int main(int count, char** values) {
  std::vector<std::string> arguments(values + 1, values + count);
  if (arguments.empty()) {
    std::cerr << "usage: host BUNDLE.js [ARGUMENT…]\n";
    return 2;
  }
  try {
    for (int generation = 0;; generation++) {
      App app(arguments, generation);
      if (!app.run()) return app.code();
    }
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
