// Makes the module and the devices known before JavaScript asks for them.
#import <Foundation/Foundation.h>

#include <ReactCommon/CxxTurboModuleUtils.h>

#include "AppleAudio.h"
#include "TertuliaModule.h"

@interface TertuliaOnLoad : NSObject
@end

@implementation TertuliaOnLoad

+ (void)load {
  using facebook::react::TertuliaModule;
  facebook::react::registerCxxModuleToGlobalModuleMap(
      std::string(TertuliaModule::kModuleName),
      [](std::shared_ptr<facebook::react::CallInvoker> invoker) { return std::make_shared<TertuliaModule>(invoker); });
  tertulia::AudioPlatform::set(tertulia::appleAudio());
}

@end
