// The functions that JavaScript calls: their arguments, errors and results.
#pragma once

#include <cmath>

#include "Backends.h"
#include "Handles.h"

namespace tertulia {

/// Bytes of an ArrayBuffer, valid during a call.
struct Bytes {
  const uint8_t* data;
  size_t size;
};

/// The arguments of a call. One of another type is an error.
class Arguments {
 public:
  Arguments(jsi::Runtime& runtime, std::shared_ptr<Bridge> bridge, const jsi::Value* values, size_t count)
      : runtime(runtime), bridge(std::move(bridge)), values_(values), count_(count) {}

  std::string text(size_t at) const;
  /// None for undefined.
  std::optional<std::string> optionalText(size_t at) const;
  /// A whole number from 0 to 2^53.
  uint64_t whole(size_t at) const;
  /// A rate or a count of channels. What does not fit in is outside every range.
  uint32_t small(size_t at) const;
  double number(size_t at) const;
  jsi::Object object(size_t at) const;
  jsi::Function function(size_t at) const;
  /// Part of an ArrayBuffer: three arguments, the buffer, where it starts and its length.
  Bytes bytes(size_t at) const;
  /// The same as samples, at the right places for their type.
  template <typename Sample>
  std::pair<const Sample*, size_t> samples(size_t at) const {
    auto bytes = this->bytes(at);
    if (bytes.size % sizeof(Sample) != 0 || reinterpret_cast<uintptr_t>(bytes.data) % alignof(Sample) != 0) {
      invalid(at, "bytes of whole samples");
    }
    return {reinterpret_cast<const Sample*>(bytes.data), bytes.size / sizeof(Sample)};
  }
  template <typename T>
  std::shared_ptr<T> handle(size_t at) const {
    auto object = this->object(at);
    if (!object.isHostObject(runtime)) invalid(at, "a handle");
    auto handle = std::dynamic_pointer_cast<T>(object.getHostObject(runtime));
    if (!handle) invalid(at, "a handle of this type");
    return handle;
  }
  void check(int32_t code, tertulia_error* error) const { bridge->check(runtime, code, error); }

  jsi::Runtime& runtime;
  const std::shared_ptr<Bridge> bridge;

 private:
  [[noreturn]] void invalid(size_t at, const char* expected) const;
  const jsi::Value& at(size_t at) const;

  const jsi::Value* const values_;
  const size_t count_;
};

/// An object with functions.
class Functions {
 public:
  using Body = std::function<jsi::Value(const Arguments&)>;

  Functions(jsi::Runtime& runtime, std::shared_ptr<Bridge> bridge)
      : runtime_(runtime), bridge_(std::move(bridge)), object_(runtime) {}

  void add(const char* name, Body body);
  jsi::Object take() { return std::move(object_); }

 private:
  jsi::Runtime& runtime_;
  const std::shared_ptr<Bridge> bridge_;
  jsi::Object object_;
};

void addEngineFunctions(Functions& functions);
void addSessionFunctions(Functions& functions);
void addAudioFunctions(Functions& functions);
void addJobFunctions(Functions& functions);
void addModelFunctions(Functions& functions);

/// A text or NULL.
inline const char* pointer(const std::optional<std::string>& text) { return text ? text->c_str() : nullptr; }

jsi::Value string(jsi::Runtime& runtime, const char* text);

/// What the library made: `json`, and `audio` where there are samples. Undefined for NULL, freed with the last value.
Value valueOf(tertulia_data* data);

/// The end of a task that made data.
Outcome outcome(int32_t code, tertulia_error* error, tertulia_data* data = nullptr);

}  // namespace tertulia
