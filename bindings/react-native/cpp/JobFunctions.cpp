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

/// erase(task, engine, ids): a job, after the sessions were closed.
jsi::Value erase(const Arguments& arguments) {
  auto engine = arguments.handle<Engine>(1);
  engine->lane.post([task = arguments.number(0), raw = engine->raw, ids = arguments.optionalText(2),
                     weak = std::weak_ptr(arguments.bridge)] {
    tertulia_job* raw_job = nullptr;
    tertulia_error* error = nullptr;
    auto code = tertulia_engine_erase(raw, pointer(ids), &raw_job, &error);
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

/// rotateStoreKey(engine, buffer?, start, length)
int32_t rotateStoreKey(const Arguments& arguments, tertulia_engine* engine, tertulia_job** job, tertulia_error** error) {
  auto key = arguments.bytes(1);
  if (key.size != 0 && key.size != 32) return TERTULIA_ERROR_INVALID_ARGUMENT;
  return tertulia_engine_rotate_store_key(engine, key.size == 0 ? nullptr : key.data, job, error);
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
  functions.add("rotateStoreKey", begins(rotateStoreKey));
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
