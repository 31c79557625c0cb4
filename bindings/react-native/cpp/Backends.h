// Backends that the host wrote in JavaScript: requests go to the runtime, results come back into sinks.
#pragma once

#include "Handles.h"

namespace tertulia {

/// A backend of the host's, as it stands in the options of an engine.
struct HostBackend {
  std::string role;
  std::string name;
  std::string languages;
  /// The number by which JavaScript knows it.
  double id;
};

/// Opens an engine; waits for the disk.
int32_t openEngine(const std::string& options, const std::vector<HostBackend>& backends, const std::weak_ptr<Bridge>& bridge,
                   tertulia_engine** engine, tertulia_error** error);

/// A copy of samples as an ArrayBuffer.
jsi::Value arrayBuffer(jsi::Runtime& runtime, const void* bytes, size_t count);

}  // namespace tertulia
