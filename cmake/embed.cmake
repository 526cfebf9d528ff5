# cmake -DINPUT=page.html -DOUTPUT=page.cc -P embed.cmake: the file as a C++ constant.
file(READ ${INPUT} hex HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
string(REGEX REPLACE "((0x..,){20})" "\\1\n" bytes "${bytes}")
file(WRITE ${OUTPUT} "#include \"exporters/page.h\"

namespace idlewatt {
namespace {
constexpr unsigned char kBytes[] = {
${bytes}};
}  // namespace

const std::string_view kPage(reinterpret_cast<const char*>(kBytes), sizeof kBytes);

}  // namespace idlewatt
")
