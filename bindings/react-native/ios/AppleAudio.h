// The devices of Apple's platforms, through the package's Swift.
#pragma once

#include "Audio.h"

namespace tertulia {

std::shared_ptr<AudioPlatform> appleAudio();

}  // namespace tertulia
