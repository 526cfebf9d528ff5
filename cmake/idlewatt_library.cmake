# Warnings that every target of ours is built with.
add_library(idlewatt_warnings INTERFACE)
target_compile_options(idlewatt_warnings INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Wcast-align -Woverloaded-virtual
  -Wconversion -Wno-sign-conversion
  $<$<CXX_COMPILER_ID:Clang>:-Wthread-safety>
  $<$<BOOL:${IDLEWATT_WERROR}>:-Werror>)

# idlewatt_library(NAME sources... [PUBLIC libs...] [PRIVATE libs...])
# One folder, one target, one alias idlewatt::NAME. Includes start at the repository root.
function(idlewatt_library name)
  cmake_parse_arguments(ARG "" "" "PUBLIC;PRIVATE" ${ARGN})
  add_library(idlewatt_${name} STATIC ${ARG_UNPARSED_ARGUMENTS})
  add_library(idlewatt::${name} ALIAS idlewatt_${name})
  target_include_directories(idlewatt_${name} PUBLIC ${PROJECT_SOURCE_DIR})
  target_link_libraries(idlewatt_${name} PUBLIC ${ARG_PUBLIC} PRIVATE idlewatt_warnings ${ARG_PRIVATE})
endfunction()
