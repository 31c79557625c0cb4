// The part of React Native that TertuliaOnLoad.mm uses.
#pragma once
#include <functional>
#include <memory>
#include <string>
namespace facebook::react {
class CallInvoker;
class TurboModule;
void registerCxxModuleToGlobalModuleMap(std::string name,
                                        std::function<std::shared_ptr<TurboModule>(std::shared_ptr<CallInvoker>)> make);
}  // namespace facebook::react
