# What `cmake --install` installs: programs, modules, data, and the libraries with a CMake package.
#
# Programs find modules in BIN/../lib/moexray and data in BIN/../share/moexray, whatever the names of
# the system's library folders are.

include(CMakePackageConfigHelpers)

get_property(moexray_libraries GLOBAL PROPERTY MOEXRAY_LIBRARIES)
get_property(moexray_modules GLOBAL PROPERTY MOEXRAY_MODULES)
set(moexray_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/moexray)

foreach(program moexray moexray-train)
  if(TARGET ${program})
    install(TARGETS ${program} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  endif()
endforeach()

if(moexray_modules)
  # A libtorch that is no part of the system is found where it was found when building.
  set_target_properties(${moexray_modules} PROPERTIES INSTALL_RPATH_USE_LINK_PATH ON)
  install(TARGETS ${moexray_modules} LIBRARY DESTINATION ${CMAKE_INSTALL_BINDIR}/../lib/moexray)
endif()

foreach(folder models prompts)
  if(IS_DIRECTORY ${PROJECT_SOURCE_DIR}/${folder})
    install(DIRECTORY ${folder} DESTINATION ${CMAKE_INSTALL_BINDIR}/../share/moexray)
  endif()
endforeach()
# Where bash-completion, zsh and fish look for them.
set(completions_dir ${PROJECT_BINARY_DIR}/completions)
install(FILES ${completions_dir}/moexray.bash RENAME moexray
        DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
install(FILES ${completions_dir}/moexray.zsh RENAME _moexray
        DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
install(FILES ${completions_dir}/moexray.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
install(DIRECTORY ${PROJECT_BINARY_DIR}/man1 DESTINATION ${CMAKE_INSTALL_MANDIR})
install(FILES LICENSE README.md CHANGELOG.md CITATION.cff DESTINATION ${CMAKE_INSTALL_DOCDIR} OPTIONAL)
install(DIRECTORY docs DESTINATION ${CMAKE_INSTALL_DOCDIR})

# The libraries. What they link to must be found again by whoever uses them.
set(moexray_find_dependencies "")
macro(moexray_depends_on pattern call)
  if(item MATCHES "${pattern}")
    list(APPEND moexray_find_dependencies "${call}")
    set(is_known ON)
  endif()
endmacro()

foreach(library ${moexray_libraries})
  get_target_property(items ${library} LINK_LIBRARIES)
  foreach(item ${items})
    if(NOT item MATCHES "::" OR item MATCHES "^moexray::")
      continue()
    endif()
    set(is_known OFF)
    moexray_depends_on("^fmt::" "find_dependency(fmt)")
    moexray_depends_on("^nlohmann_json::" "find_dependency(nlohmann_json)")
    moexray_depends_on("^Eigen3::" "find_dependency(Eigen3 NO_MODULE)")
    moexray_depends_on("^Threads::" "find_dependency(Threads)")
    moexray_depends_on("^zstd::" "find_dependency(zstd)")
    moexray_depends_on("^simdjson::" "find_dependency(simdjson)")
    moexray_depends_on("^ICU::" "find_dependency(ICU COMPONENTS uc)")
    if(item MATCHES "^PkgConfig::(.*)$")
      list(APPEND moexray_find_dependencies
           "find_dependency(PkgConfig)"
           "pkg_check_modules(${CMAKE_MATCH_1} REQUIRED IMPORTED_TARGET ${${CMAKE_MATCH_1}_MODULE_NAME})")
      set(is_known ON)
    endif()
    if(NOT is_known)
      message(AUTHOR_WARNING "${library} links ${item}: cmake/moexray_install.cmake does not say how users find it")
    endif()
  endforeach()
endforeach()
list(REMOVE_DUPLICATES moexray_find_dependencies)
list(JOIN moexray_find_dependencies "\n" MOEXRAY_FIND_DEPENDENCIES)

install(DIRECTORY include/moexray DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(TARGETS ${moexray_libraries} EXPORT moexray_targets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(EXPORT moexray_targets NAMESPACE moexray:: FILE moexray-targets.cmake
        DESTINATION ${moexray_package_dir})
configure_package_config_file(
  cmake/moexray-config.cmake.in ${PROJECT_BINARY_DIR}/cmake/moexray-config.cmake
  INSTALL_DESTINATION ${moexray_package_dir})
write_basic_package_version_file(
  ${PROJECT_BINARY_DIR}/cmake/moexray-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/cmake/moexray-config.cmake
              ${PROJECT_BINARY_DIR}/cmake/moexray-config-version.cmake
        DESTINATION ${moexray_package_dir})

if(MOEXRAY_BUILD_TESTS)
  add_test(NAME Install.programs_run_and_find_package_works
    COMMAND ${PROJECT_SOURCE_DIR}/tests/install/install_test.sh
            ${CMAKE_COMMAND} ${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR} ${PROJECT_VERSION})
  set_tests_properties(Install.programs_run_and_find_package_works PROPERTIES
    LABELS slow TIMEOUT 600 ENVIRONMENT "MOEXRAY_SANITIZE=${MOEXRAY_SANITIZE};CXX=${CMAKE_CXX_COMPILER}")
endif()
