// The part of the module that TertuliaOnLoad.mm uses.
#pragma once
#include <ReactCommon/CxxTurboModuleUtils.h>
namespace facebook::react {
class TurboModule {};
class TertuliaModule : public TurboModule {
 public:
  static constexpr const char* kModuleName = "Tertulia";
  explicit TertuliaModule(std::shared_ptr<CallInvoker> invoker);
};
}  // namespace facebook::react
