// The module `Tertulia` of React Native, on every platform.
#pragma once

#include <TertuliaSpecJSI.h>

#include "Bridge.h"

namespace facebook::react {

class TertuliaModule : public NativeTertuliaCxxSpec<TertuliaModule> {
 public:
  explicit TertuliaModule(std::shared_ptr<CallInvoker> invoker);
  ~TertuliaModule() override;

  /// The functions of the library: those that wait take the number of a task, which ends later.
  jsi::Object native(jsi::Runtime& runtime);

  const std::shared_ptr<tertulia::Bridge> bridge;
};

}  // namespace facebook::react
