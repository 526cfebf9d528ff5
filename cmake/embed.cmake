# idlewatt_embed(FILE CONSTANT HEADER OUTPUT): makes the source OUTPUT, which defines the
# std::string_view CONSTANT, declared in HEADER, with the content of FILE.
#
# The work is done at build time by this same file, run as a script.
if(CMAKE_SCRIPT_MODE_FILE STREQUAL CMAKE_CURRENT_LIST_FILE)
  file(READ ${INPUT} hex HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
  string(REGEX REPLACE "((0x..,){20})" "\\1\n" bytes "${bytes}")
  file(WRITE ${OUTPUT} "#include \"${HEADER}\"

namespace idlewatt {
namespace {
alignas(8) constexpr unsigned char kBytes[] = {
${bytes}};
}  // namespace

const std::string_view ${CONSTANT}(reinterpret_cast<const char*>(kBytes), sizeof kBytes);

}  // namespace idlewatt
")
  return()
endif()

set(idlewatt_embed_script ${CMAKE_CURRENT_LIST_FILE})
function(idlewatt_embed file constant header output)
  add_custom_command(
    OUTPUT ${output}
    COMMAND ${CMAKE_COMMAND} -DINPUT=${file} -DCONSTANT=${constant} -DHEADER=${header}
            -DOUTPUT=${output} -P ${idlewatt_embed_script}
    DEPENDS ${file} ${idlewatt_embed_script})
endfunction()
