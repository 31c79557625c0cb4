#include "Backends.h"

#include <cstring>

namespace tertulia {

namespace {

/// What a table of functions points to.
struct Backend {
  std::weak_ptr<Bridge> bridge;
  double id;
};

void release(void* userData) noexcept {
  std::unique_ptr<Backend> backend(static_cast<Backend*>(userData));
  if (auto bridge = backend->bridge.lock()) bridge->deliver("release", backend->id, {});
}

/// The name by which JavaScript knows a request: a double does not hold every handle.
std::string nameOf(const tertulia_sink* raw) { return std::to_string(reinterpret_cast<uintptr_t>(raw)); }

void cancel(void* userData, tertulia_sink* raw) noexcept {
  const auto& backend = *static_cast<Backend*>(userData);
  auto bridge = backend.bridge.lock();
  if (!bridge) return;
  bridge->deliver("cancel", backend.id, [name = nameOf(raw)](jsi::Runtime& runtime) {
    return jsi::Value(jsi::String::createFromAscii(runtime, name));
  });
}

int32_t request(Backend& backend, const char* json, std::shared_ptr<std::vector<float>> samples, tertulia_sink* raw) {
  auto bridge = backend.bridge.lock();
  if (!bridge) return TERTULIA_ERROR_HOST_CALLBACK;
  // A runtime that ends drops the request, and with it the sink, which ends the results.
  auto sink = std::make_shared<Sink>(raw);
  bridge->deliver("request", backend.id, [sink, samples = std::move(samples), json = std::string(json), name = nameOf(raw)](jsi::Runtime& runtime) {
    jsi::Object request(runtime);
    request.setProperty(runtime, "name", jsi::String::createFromAscii(runtime, name));
    request.setProperty(runtime, "json", jsi::String::createFromUtf8(runtime, json));
    request.setProperty(runtime, "sink", jsi::Object::createFromHostObject(runtime, sink));
    if (samples) {
      request.setProperty(runtime, "audio", arrayBuffer(runtime, samples->data(), samples->size() * sizeof(float)));
    }
    return jsi::Value(std::move(request));
  });
  return TERTULIA_OK;
}

int32_t onRequest(void* userData, const char* json, tertulia_sink* sink) noexcept {
  return request(*static_cast<Backend*>(userData), json, nullptr, sink);
}

int32_t onRecognize(void* userData, const char* json, const float* samples, size_t count, tertulia_sink* sink) noexcept {
  auto copy = count == 0 ? std::make_shared<std::vector<float>>() : std::make_shared<std::vector<float>>(samples, samples + count);
  return request(*static_cast<Backend*>(userData), json, std::move(copy), sink);
}

}  // namespace

int32_t openEngine(const std::string& options, const std::vector<HostBackend>& backends, const std::weak_ptr<Bridge>& bridge,
                   tertulia_engine** engine, tertulia_error** error) {
  tertulia_backends table{};
  table.struct_size = sizeof table;
  std::vector<tertulia_backend> entries(backends.size());
  for (size_t at = 0; at < backends.size(); at++) {
    const auto& host = backends[at];
    auto& entry = entries[at];
    entry = {};
    entry.struct_size = sizeof entry;
    entry.user_data = new Backend{bridge, host.id};
    entry.name = host.name.c_str();
    entry.languages = host.languages.c_str();
    entry.release = release;
    entry.cancel = cancel;
    if (host.role == "recognizer") {
      entry.recognize = onRecognize;
      table.recognizer = &entry;
    } else {
      entry.request = onRequest;
      (host.role == "chat" ? table.chat : table.synthesizer) = &entry;
    }
  }
  return tertulia_engine_open(options.c_str(), &table, engine, error);
}

jsi::Value arrayBuffer(jsi::Runtime& runtime, const void* bytes, size_t count) {
  // Not every engine makes one of memory of ours.
  auto constructor = runtime.global().getPropertyAsFunction(runtime, "ArrayBuffer");
  auto made = constructor.callAsConstructor(runtime, static_cast<double>(count)).getObject(runtime);
  if (count > 0) std::memcpy(made.getArrayBuffer(runtime).data(runtime), bytes, count);
  return made;
}

}  // namespace tertulia
