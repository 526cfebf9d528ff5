#pragma once

#include <string_view>

namespace idlewatt {

// process.bpf.c, compiled for the kernel (an ELF file).
extern const std::string_view kProcessBpfObject;

}  // namespace idlewatt
