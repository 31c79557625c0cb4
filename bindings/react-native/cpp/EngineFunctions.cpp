#include "Functions.h"

namespace tertulia {

namespace {

constexpr std::chrono::seconds kReapMax{10};

HostBackend backendOf(jsi::Runtime& runtime, const jsi::Object& object) {
  auto text = [&](const char* name) { return object.getProperty(runtime, name).asString(runtime).utf8(runtime); };
  return {text("role"), text("name"), text("languages"), object.getProperty(runtime, "id").asNumber()};
}

/// open(task, options, backends)
jsi::Value open(const Arguments& arguments) {
  auto list = arguments.object(2).asArray(arguments.runtime);
  std::vector<HostBackend> backends;
  for (size_t at = 0; at < list.size(arguments.runtime); at++) {
    auto entry = list.getValueAtIndex(arguments.runtime, at).asObject(arguments.runtime);
    backends.push_back(backendOf(arguments.runtime, entry));
  }
  Lane::apart([task = arguments.number(0), options = arguments.text(1), backends = std::move(backends),
               weak = std::weak_ptr(arguments.bridge)] {
    Reaper::wait(kReapMax);
    tertulia_engine* raw = nullptr;
    tertulia_error* error = nullptr;
    auto code = openEngine(options, backends, weak, &raw, &error);
    auto bridge = weak.lock();
    if (code != TERTULIA_OK) {
      auto failure = Failure::take(code, error);
      if (bridge) bridge->settle(task, failure);
      return;
    }
    // Where the runtime has ended, this shuts it down.
    auto engine = std::make_shared<Engine>(raw, weak);
    if (!bridge) return;
    bridge->add(engine);
    bridge->settle(task, [engine](jsi::Runtime& runtime) { return jsi::Object::createFromHostObject(runtime, engine); });
  });
  return jsi::Value::undefined();
}

/// apply(engine, command): the answer in JSON, of a call that does not wait.
jsi::Value apply(const Arguments& arguments) {
  tertulia_data* answer = nullptr;
  tertulia_error* error = nullptr;
  arguments.check(
      tertulia_engine_apply(arguments.handle<Engine>(0)->raw, arguments.text(1).c_str(), &answer, &error), error);
  std::shared_ptr<tertulia_data> owned(answer, tertulia_data_free);
  return string(arguments.runtime, tertulia_data_json(answer));
}

using Work = std::function<Outcome(tertulia_engine*)>;

/// Does work that waits for the disk, in order with that of the same engine, or apart from it.
jsi::Value later(const Arguments& arguments, Work work, bool isApart = false) {
  auto engine = arguments.handle<Engine>(1);
  // The lane's thread must not be the last that holds the lane.
  auto run = [task = arguments.number(0), raw = engine->raw, work = std::move(work), weak = std::weak_ptr(arguments.bridge)] {
    auto outcome = work(raw);
    if (auto bridge = weak.lock()) bridge->settle(task, std::move(outcome));
  };
  if (isApart) {
    Lane::apart(std::move(run));
  } else {
    engine->lane.post(std::move(run));
  }
  return jsi::Value::undefined();
}

using WithTimeout = int32_t (*)(const tertulia_engine*, uint64_t, tertulia_data**, tertulia_error**);

/// suspend and shutDown(task, engine, timeout)
Functions::Body stop(WithTimeout call) {
  return [call](const Arguments& arguments) {
    return later(
        arguments,
        [call, timeout = arguments.whole(2)](tertulia_engine* engine) {
          tertulia_data* running = nullptr;
          tertulia_error* error = nullptr;
          auto code = call(engine, timeout, &running, &error);
          return outcome(code, error, running);
        },
        true);
  };
}

jsi::Value audio(const Arguments& arguments) {
  return later(arguments, [session = arguments.text(2), turn = arguments.whole(3), kind = arguments.text(4)](auto* engine) {
    tertulia_data* data = nullptr;
    tertulia_error* error = nullptr;
    auto code = tertulia_engine_audio(engine, session.c_str(), turn, kind.c_str(), &data, &error);
    return outcome(code, error, data);
  });
}

}  // namespace

void addEngineFunctions(Functions& functions) {
  functions.add("version", [](const Arguments& arguments) { return string(arguments.runtime, tertulia_version()); });
  functions.add("open", open);
  functions.add("apply", apply);
  functions.add("applyLater", [](const Arguments& arguments) {
    return later(arguments, [command = arguments.text(2)](tertulia_engine* engine) {
      tertulia_data* answer = nullptr;
      tertulia_error* error = nullptr;
      auto code = tertulia_engine_apply(engine, command.c_str(), &answer, &error);
      return outcome(code, error, answer);
    });
  });
  functions.add("audio", audio);
  functions.add("suspend", stop(tertulia_engine_suspend));
  functions.add("shutDown", stop(tertulia_engine_shut_down));
  functions.add("resume", [](const Arguments& arguments) {
    return later(arguments, [](tertulia_engine* engine) {
      tertulia_error* error = nullptr;
      auto code = tertulia_engine_resume(engine, &error);
      return outcome(code, error);
    });
  });
}

}  // namespace tertulia
