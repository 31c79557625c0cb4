#include "Functions.h"

namespace tertulia {

namespace {

constexpr double kWholeMax = 9007199254740992.0;

}  // namespace

void Arguments::invalid(size_t at, const char* expected) const {
  Failure failure{TERTULIA_ERROR_INVALID_ARGUMENT, "argument " + std::to_string(at + 1) + " is not " + expected};
  throw jsi::JSError(runtime, bridge->error(runtime, failure));
}

const jsi::Value& Arguments::at(size_t at) const {
  static const auto& undefined = *new jsi::Value();
  return at < count_ ? values_[at] : undefined;
}

std::string Arguments::text(size_t at) const {
  if (!this->at(at).isString()) invalid(at, "a string");
  auto text = this->at(at).getString(runtime).utf8(runtime);
  if (text.find('\0') != std::string::npos) invalid(at, "a string without zeros");
  return text;
}

std::optional<std::string> Arguments::optionalText(size_t at) const {
  if (this->at(at).isUndefined() || this->at(at).isNull()) return std::nullopt;
  return text(at);
}

double Arguments::number(size_t at) const {
  if (!this->at(at).isNumber()) invalid(at, "a number");
  return this->at(at).getNumber();
}

uint64_t Arguments::whole(size_t at) const {
  auto number = this->number(at);
  if (!(number >= 0 && number <= kWholeMax) || number != std::floor(number)) invalid(at, "a whole number");
  return static_cast<uint64_t>(number);
}

uint32_t Arguments::small(size_t at) const {
  auto number = this->number(at);
  return number >= 0 && number <= UINT32_MAX ? static_cast<uint32_t>(number) : 0;
}

jsi::Object Arguments::object(size_t at) const {
  if (!this->at(at).isObject()) invalid(at, "an object");
  return this->at(at).getObject(runtime);
}

jsi::Function Arguments::function(size_t at) const {
  auto object = this->object(at);
  if (!object.isFunction(runtime)) invalid(at, "a function");
  return object.getFunction(runtime);
}

Bytes Arguments::bytes(size_t at) const {
  auto object = this->object(at);
  if (!object.isArrayBuffer(runtime)) invalid(at, "an ArrayBuffer");
  auto buffer = object.getArrayBuffer(runtime);
  auto start = whole(at + 1), size = whole(at + 2), all = static_cast<uint64_t>(buffer.size(runtime));
  if (start > all || size > all - start) invalid(at + 1, "inside the ArrayBuffer");
  return {buffer.data(runtime) + start, static_cast<size_t>(size)};
}

void Functions::add(const char* name, Body body) {
  auto function = jsi::Function::createFromHostFunction(
      runtime_, jsi::PropNameID::forAscii(runtime_, name), 0,
      [bridge = bridge_, body = std::move(body)](jsi::Runtime& runtime, const jsi::Value&, const jsi::Value* values,
                                                 size_t count) { return body({runtime, bridge, values, count}); });
  object_.setProperty(runtime_, name, std::move(function));
}

jsi::Value string(jsi::Runtime& runtime, const char* text) { return jsi::String::createFromUtf8(runtime, text); }

Value valueOf(tertulia_data* raw) {
  auto data = std::shared_ptr<tertulia_data>(raw, tertulia_data_free);
  return [data](jsi::Runtime& runtime) -> jsi::Value {
    if (!data) return jsi::Value::undefined();
    jsi::Object object(runtime);
    if (const char* json = tertulia_data_json(data.get())) object.setProperty(runtime, "json", string(runtime, json));
    size_t count = 0;
    if (const float* floats = tertulia_data_f32(data.get(), &count)) {
      object.setProperty(runtime, "audio", arrayBuffer(runtime, floats, count * sizeof *floats));
    } else if (const int16_t* shorts = tertulia_data_i16(data.get(), &count)) {
      object.setProperty(runtime, "audio", arrayBuffer(runtime, shorts, count * sizeof *shorts));
    }
    return object;
  };
}

Outcome outcome(int32_t code, tertulia_error* error, tertulia_data* data) {
  if (code != TERTULIA_OK) return Failure::take(code, error);
  return valueOf(data);
}

}  // namespace tertulia
