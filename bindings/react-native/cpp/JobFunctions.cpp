#include "Functions.h"

namespace tertulia {

namespace {

using Begin = std::function<int32_t(const Arguments&, tertulia_engine*, tertulia_job**, tertulia_error**)>;

jsi::Value jobOf(const Arguments& arguments, int32_t code, tertulia_job* raw, tertulia_error* error) {
  arguments.check(code, error);
  return jsi::Object::createFromHostObject(arguments.runtime, std::make_shared<Job>(raw));
}

/// A function of an engine that gives a job.
Functions::Body begins(Begin begin) {
  return [begin = std::move(begin)](const Arguments& arguments) {
    tertulia_job* job = nullptr;
    tertulia_error* error = nullptr;
    auto code = begin(arguments, arguments.handle<Engine>(0)->raw, &job, &error);
    return jobOf(arguments, code, job, error);
  };
}

using OfSamples = int32_t (*)(const tertulia_engine*, const float*, size_t, uint32_t, const char*, tertulia_job**,
                              tertulia_error**);

/// transcribe and listen(engine, buffer, start, length, rate, languages)
Functions::Body ofSamples(OfSamples call) {
  return begins([call](const Arguments& arguments, auto* engine, auto** job, auto** error) {
    auto [samples, count] = arguments.samples<float>(1);
    auto languages = arguments.optionalText(5);
    return call(engine, samples, count, arguments.small(4), pointer(languages), job, error);
  });
}

using Waits = std::function<int32_t(tertulia_engine*, tertulia_job**, tertulia_error**)>;

/// A job that begins after sessions were closed: it takes a task, and waits on the engine's thread.
jsi::Value beginsLater(const Arguments& arguments, Waits begin) {
  auto engine = arguments.handle<Engine>(1);
  engine->lane.post([task = arguments.number(0), raw = engine->raw, begin = std::move(begin),
                     weak = std::weak_ptr(arguments.bridge)] {
    tertulia_job* raw_job = nullptr;
    tertulia_error* error = nullptr;
    auto code = begin(raw, &raw_job, &error);
    Outcome outcome = Failure{};
    if (code == TERTULIA_OK) {
      auto job = std::make_shared<Job>(raw_job);
      outcome = [job](jsi::Runtime& runtime) { return jsi::Object::createFromHostObject(runtime, job); };
    } else {
      outcome = Failure::take(code, error);
    }
    if (auto bridge = weak.lock()) bridge->settle(task, std::move(outcome));
  });
  return jsi::Value::undefined();
}

/// erase(task, engine, ids): a job.
jsi::Value erase(const Arguments& arguments) {
  return beginsLater(arguments, [ids = arguments.optionalText(2)](auto* engine, auto** job, auto** error) {
    return tertulia_engine_erase(engine, pointer(ids), job, error);
  });
}

/// rotateStoreKey(task, engine, buffer, start, length): a job.
jsi::Value rotateStoreKey(const Arguments& arguments) {
  auto bytes = arguments.bytes(2);
  std::vector<uint8_t> key(bytes.data, bytes.data + bytes.size);
  return beginsLater(arguments, [key = std::move(key)](auto* engine, auto** job, auto** error) -> int32_t {
    if (!key.empty() && key.size() != 32) return TERTULIA_ERROR_INVALID_ARGUMENT;
    return tertulia_engine_rotate_store_key(engine, key.empty() ? nullptr : key.data(), job, error);
  });
}

/// jobNext(task, job): the next item; undefined once it is over.
jsi::Value next(const Arguments& arguments) {
  auto job = arguments.handle<Job>(1);
  job->lane.post([task = arguments.number(0), raw = job->raw, weak = std::weak_ptr(arguments.bridge)] {
    tertulia_data* item = nullptr;
    tertulia_error* error = nullptr;
    auto code = tertulia_job_next(raw, &item, &error);
    auto result = outcome(code, error, item);
    if (auto bridge = weak.lock()) bridge->settle(task, std::move(result));
  });
  return jsi::Value::undefined();
}

}  // namespace

void addJobFunctions(Functions& functions) {
  functions.add("transcribe", ofSamples(tertulia_engine_transcribe));
  functions.add("listen", ofSamples(tertulia_engine_listen));
  functions.add("synthesize", begins([](const Arguments& arguments, auto* engine, auto** job, auto** error) {
                  return tertulia_engine_synthesize(engine, arguments.text(1).c_str(), job, error);
                }));
  functions.add("preload", begins([](const Arguments&, auto* engine, auto** job, auto** error) {
                  return tertulia_engine_preload(engine, job, error);
                }));
  functions.add("exportSession", begins([](const Arguments& arguments, auto* engine, auto** job, auto** error) {
                  return tertulia_engine_export_session(engine, arguments.text(1).c_str(), arguments.text(2).c_str(), job,
                                                        error);
                }));
  functions.add("importSession", begins([](const Arguments& arguments, auto* engine, auto** job, auto** error) {
                  auto id = arguments.optionalText(2);
                  return tertulia_engine_import_session(engine, arguments.text(1).c_str(), pointer(id), job, error);
                }));
  functions.add("verifyStore", begins([](const Arguments&, auto* engine, auto** job, auto** error) {
                  return tertulia_engine_verify_store(engine, job, error);
                }));
  functions.add("compactStore", begins([](const Arguments&, auto* engine, auto** job, auto** error) {
                  return tertulia_engine_compact_store(engine, job, error);
                }));
  functions.add("rotateStoreKey", rotateStoreKey);
  functions.add("erase", erase);
  functions.add("jobNext", next);
  functions.add("jobCancel", [](const Arguments& arguments) {
    tertulia_job_cancel(arguments.handle<Job>(0)->raw);
    return jsi::Value::undefined();
  });
  functions.add("jobProgress", [](const Arguments& arguments) {
    return jsi::Value(static_cast<double>(tertulia_job_progress(arguments.handle<Job>(0)->raw)));
  });
  functions.add("modelsPull", [](const Arguments& arguments) {
    auto folder = arguments.optionalText(0), names = arguments.optionalText(1);
    tertulia_job* job = nullptr;
    tertulia_error* error = nullptr;
    auto code = tertulia_models_pull(pointer(folder), pointer(names), &job, &error);
    return jobOf(arguments, code, job, error);
  });
}

}  // namespace tertulia
