# Writes the profiles as C: cmake -DOUT=FILE.c -DFILES=A.yaml,B.yaml -P embed.cmake
# Each becomes an array of bytes, whatever is in it.
string(REPLACE "," ";" FILES "${FILES}")
set(arrays "")
set(rows "")
foreach(file IN LISTS FILES)
  cmake_path(GET file STEM name)
  file(READ "${file}" hex HEX)
  string(LENGTH "${hex}" digits)
  math(EXPR length "${digits} / 2")
  string(REGEX REPLACE "(..)" "0x\\1," bytes "${hex}")
  string(APPEND arrays "static const unsigned char ${name}[] = { ${bytes}0 };\n")
  string(APPEND rows "    { \"${name}\", ${name}, ${length} },\n")
endforeach()
file(WRITE "${OUT}" "#include \"settings/profile.h\"\n\n${arrays}
const struct profile_embedded profile_embedded[] = {\n${rows}    { 0 },\n};\n")
