// In the place of React Native's header of this name, which needs folly: no type of the module's is a folly::dynamic.
#pragma once
