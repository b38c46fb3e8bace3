# Writes files as C, each as an array of bytes whatever is in it:
#   cmake -DOUT=FILE.c -DFILES=A,B -DHEADER=folder/noun.h -DTABLE=name -DNAMES=STEM|NAME -P embed.cmake
# The table is an array of struct TABLE with the file's name (NAME), or that without its
# extension (STEM), its bytes and their number, ended by an empty row.
string(REPLACE "," ";" FILES "${FILES}")
set(arrays "")
set(rows "")
set(number 0)
foreach(file IN LISTS FILES)
  if(NAMES STREQUAL STEM)
    cmake_path(GET file STEM name)
  else()
    cmake_path(GET file FILENAME name)
  endif()
  file(READ "${file}" hex HEX)
  string(LENGTH "${hex}" digits)
  math(EXPR length "${digits} / 2")
  string(REGEX REPLACE "(..)" "0x\\1," bytes "${hex}")
  string(APPEND arrays "static const unsigned char file${number}[] = { ${bytes}0 };\n")
  string(APPEND rows "    { \"${name}\", file${number}, ${length} },\n")
  math(EXPR number "${number} + 1")
endforeach()
file(WRITE "${OUT}" "#include \"${HEADER}\"\n\n${arrays}
const struct ${TABLE} ${TABLE}[] = {\n${rows}    { 0 },\n};\n")
