// The conformance runs of a library with the feature `testing`, as `testing.…` in JavaScript; missing in one without.
#define TERTULIA_TESTING
#include "Functions.h"

// A library without the feature has none of them.
extern "C" {
#pragma weak tertulia_testing_open
#pragma weak tertulia_testing_open_golden
#pragma weak tertulia_testing_next
#pragma weak tertulia_testing_finish
#pragma weak tertulia_testing_free
}

using namespace tertulia;

namespace {

class Run : public Handle {
 public:
  explicit Run(tertulia_testing_run* raw) : raw(raw) {}
  ~Run() override { tertulia_testing_free(raw); }
  tertulia_testing_run* const raw;
};

jsi::Value open(const Arguments& arguments) {
  tertulia_testing_run* raw = nullptr;
  tertulia_error* error = nullptr;
  auto golden = arguments.optionalText(1);
  auto code = golden ? tertulia_testing_open_golden(arguments.text(0).c_str(), golden->c_str(), &raw, &error)
                     : tertulia_testing_open(arguments.text(0).c_str(), &raw, &error);
  arguments.check(code, error);
  return jsi::Object::createFromHostObject(arguments.runtime, std::make_shared<Run>(raw));
}

/// next(run, code, result): the action.
jsi::Value next(const Arguments& arguments) {
  auto& runtime = arguments.runtime;
  auto result = arguments.optionalText(2);
  tertulia_testing_action action{};
  tertulia_error* error = nullptr;
  auto code = tertulia_testing_next(arguments.handle<Run>(0)->raw, static_cast<int32_t>(arguments.small(1)),
                                    pointer(result), &action, &error);
  arguments.check(code, error);
  jsi::Object object(runtime);
  object.setProperty(runtime, "kind", action.kind);
  if (action.engine != nullptr) {
    auto engine = std::make_shared<Engine>(action.engine, arguments.bridge);
    arguments.bridge->add(engine);
    object.setProperty(runtime, "engine", jsi::Object::createFromHostObject(runtime, engine));
  }
  if (action.kind == TERTULIA_TESTING_PUSH_ENCODED) {
    object.setProperty(runtime, "bytes", arrayBuffer(runtime, action.text, action.count));
  } else if (action.text != nullptr) {
    object.setProperty(runtime, "text", string(runtime, action.text));
  }
  if (action.more != nullptr) object.setProperty(runtime, "more", string(runtime, action.more));
  if (action.kind == TERTULIA_TESTING_PUSH_AUDIO) {
    object.setProperty(runtime, "samples", arrayBuffer(runtime, action.samples, action.count * sizeof(float)));
  }
  object.setProperty(runtime, "turn", static_cast<double>(action.turn));
  object.setProperty(runtime, "channels", static_cast<double>(action.channels));
  object.setProperty(runtime, "rate", static_cast<double>(action.rate));
  return object;
}

}  // namespace

void addTesting(jsi::Runtime& runtime, std::function<std::shared_ptr<Bridge>()> bridge) {
  if (&tertulia_testing_open == nullptr) return;
  Functions functions(runtime, bridge());
  functions.add("open", open);
  functions.add("next", next);
  functions.add("finish", [](const Arguments& arguments) {
    const char* difference = tertulia_testing_finish(arguments.handle<Run>(0)->raw);
    return difference == nullptr ? jsi::Value::undefined() : string(arguments.runtime, difference);
  });
  runtime.global().setProperty(runtime, "testing", functions.take());
}
