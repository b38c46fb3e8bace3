# What `cmake --install` puts where. Programs only, until the pages and the unit are here.
foreach(program nairid nairi-hub)
  if(TARGET ${program})
    install(TARGETS ${program} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  endif()
endforeach()
