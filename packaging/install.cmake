# What `cmake --install` puts where; every folder follows GNUInstallDirs and the prefix.
# The example configuration goes to the documentation, never over a file that is in use in /etc.
foreach(program nairid nairi-hub)
  if(TARGET ${program})
    install(TARGETS ${program} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  endif()
endforeach()

foreach(section 1 5 7)
  file(GLOB pages CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/packaging/man/*.${section}")
  install(FILES ${pages} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section})
endforeach()

# The units in systemd/ name /usr/bin; installed ones name the prefix that they are installed to,
# which may be given as late as `cmake --install --prefix`. systemd reads units and sysusers beneath
# /usr and /usr/local alike, in lib on every machine.
file(GLOB units CONFIGURE_DEPENDS RELATIVE "${PROJECT_SOURCE_DIR}/systemd"
  "${PROJECT_SOURCE_DIR}/systemd/*.service" "${PROJECT_SOURCE_DIR}/systemd/user/*.service")
foreach(unit IN LISTS units)
  cmake_path(GET unit PARENT_PATH manager)
  if(manager STREQUAL "")
    set(manager system)
  endif()
  cmake_path(GET unit FILENAME name)
  install(CODE "
    file(READ [[${PROJECT_SOURCE_DIR}/systemd/${unit}]] text)
    string(REPLACE \"=/usr/bin/\" \"=\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_BINDIR}/\" text \"\${text}\")
    file(WRITE [[${PROJECT_BINARY_DIR}/systemd/${manager}/${name}]] \"\${text}\")")
  install(FILES "${PROJECT_BINARY_DIR}/systemd/${manager}/${name}"
    DESTINATION lib/systemd/${manager})
endforeach()
file(GLOB sysusers CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/systemd/*.sysusers")
foreach(file IN LISTS sysusers)
  cmake_path(GET file STEM name)
  install(FILES "${file}" DESTINATION lib/sysusers.d RENAME ${name}.conf)
endforeach()

file(GLOB examples CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/config/*.yaml")
install(FILES ${examples} "${PROJECT_SOURCE_DIR}/README.md" "${PROJECT_SOURCE_DIR}/LICENSE"
  DESTINATION ${CMAKE_INSTALL_DOCDIR})
# What is built in, to be read.
install(DIRECTORY "${PROJECT_SOURCE_DIR}/config/profiles" DESTINATION ${CMAKE_INSTALL_DOCDIR}
  FILES_MATCHING PATTERN "*.yaml")
