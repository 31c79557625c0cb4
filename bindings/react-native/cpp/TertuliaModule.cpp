#include "TertuliaModule.h"

#include "Functions.h"

namespace facebook::react {

TertuliaModule::TertuliaModule(std::shared_ptr<CallInvoker> invoker)
    : NativeTertuliaCxxSpec(invoker), bridge(std::make_shared<tertulia::Bridge>(invoker)) {}

TertuliaModule::~TertuliaModule() { bridge->close(); }

jsi::Object TertuliaModule::native(jsi::Runtime& runtime) {
  if (tertulia_abi_version() != TERTULIA_ABI_VERSION) {
    throw jsi::JSError(runtime, "the library tertulia has another version than this package");
  }
  tertulia::Functions functions(runtime, bridge);
  functions.add("connect", [](const tertulia::Arguments& arguments) {
    arguments.bridge->connect(arguments.runtime, arguments.function(0), arguments.function(1));
    return jsi::Value::undefined();
  });
  tertulia::addEngineFunctions(functions);
  tertulia::addSessionFunctions(functions);
  tertulia::addAudioFunctions(functions);
  tertulia::addJobFunctions(functions);
  tertulia::addModelFunctions(functions);
  return functions.take();
}

}  // namespace facebook::react
