# Every library idlewatt uses, as one imported target each. All are Debian 12 packages;
# tools/lib/packages names them.
include(FeatureSummary)
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)

# The CMake package of prometheus-cpp asks for curl and civetweb even when only its core is used.
pkg_check_modules(PROMETHEUS_CPP REQUIRED IMPORTED_TARGET prometheus-cpp-core>=1.0)
pkg_check_modules(SQLITE3 REQUIRED IMPORTED_TARGET sqlite3>=3.40)
pkg_check_modules(ZSTD REQUIRED IMPORTED_TARGET libzstd>=1.5)
pkg_check_modules(ZLIB REQUIRED IMPORTED_TARGET zlib)
pkg_check_modules(SPDLOG REQUIRED IMPORTED_TARGET spdlog>=1.10)
pkg_check_modules(LIBSYSTEMD REQUIRED IMPORTED_TARGET libsystemd>=252)
pkg_check_modules(CLI11 REQUIRED IMPORTED_TARGET CLI11>=2.1)
pkg_check_modules(TOMLPLUSPLUS REQUIRED IMPORTED_TARGET tomlplusplus>=3.3)
find_package(nlohmann_json 3.11 REQUIRED)
find_package(tl-expected REQUIRED)

# libsensors and civetweb ship no usable CMake or pkg-config file.
function(idlewatt_find_plain_library target library header)
  find_library(${target}_LIBRARY NAMES ${library} REQUIRED)
  find_path(${target}_INCLUDE_DIR NAMES ${header} REQUIRED)
  add_library(${target} INTERFACE IMPORTED GLOBAL)
  target_link_libraries(${target} INTERFACE ${${target}_LIBRARY})
  target_include_directories(${target} SYSTEM INTERFACE ${${target}_INCLUDE_DIR})
endfunction()
idlewatt_find_plain_library(idlewatt_sensors sensors sensors/sensors.h)
idlewatt_find_plain_library(idlewatt_civetweb civetweb civetweb.h)

# For the process backend bpf; without either, idlewatt is built with backend proc alone.
set(IDLEWATT_HAVE_BPF OFF)
if(IDLEWATT_BPF)
  pkg_check_modules(LIBBPF IMPORTED_TARGET libbpf>=1.0)
  find_program(IDLEWATT_BPF_CLANG NAMES clang clang-19 clang-18 clang-17 clang-16 clang-15 clang-14)
  if(LIBBPF_FOUND AND IDLEWATT_BPF_CLANG)
    set(IDLEWATT_HAVE_BPF ON)
  endif()
endif()
