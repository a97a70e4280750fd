# Helpers that give every target of the project the same compiler settings.

set(MOEXRAY_MODULE_DIR ${PROJECT_BINARY_DIR}/lib/moexray)

# Warnings and sanitizers of the project's own code.
function(moexray_compile_settings target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
    # GCC 12 reports overlaps that do not exist in its own std::string.
    target_compile_options(${target} PRIVATE -Wno-restrict)
    # Its warnings that follow the flow of values err in its own std::variant, vector and string, each at another level
    # of optimisation: shown, but no errors.
    foreach(warning array-bounds dangling-pointer free-nonheap-object maybe-uninitialized stringop-overflow
                    stringop-overread uninitialized)
      list(APPEND flow_warnings -Wno-error=${warning})
    endforeach()
  endif()
  if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    # Clang reports functions that GCC 12's own headers use and have deprecated.
    target_compile_options(${target} PRIVATE -Wno-deprecated-declarations)
  endif()
  if(MOEXRAY_WERROR)
    target_compile_options(${target} PRIVATE -Werror ${flow_warnings})
  endif()
  if(MOEXRAY_SANITIZE)
    target_compile_options(${target} PRIVATE -fsanitize=${MOEXRAY_SANITIZE} -fno-omit-frame-pointer
                                             -fno-sanitize-recover=all)
    if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
      # A check before every access takes a quarter of the compiler's time: addresses are what AddressSanitizer looks at,
      # and the fuzz targets, which clang compiles, look for these as well.
      target_compile_options(${target} PRIVATE -fno-sanitize=null,alignment,object-size,vptr)
    endif()
    target_link_options(${target} PRIVATE -fsanitize=${MOEXRAY_SANITIZE})
  endif()
endfunction()

# moexray_library(NAME SOURCES … [PUBLIC …] [PRIVATE …]): the static library moexray::NAME.
function(moexray_library name)
  cmake_parse_arguments(arg "" "" "SOURCES;PUBLIC;PRIVATE" ${ARGN})
  add_library(moexray_${name} STATIC ${arg_SOURCES})
  add_library(moexray::${name} ALIAS moexray_${name})
  set_target_properties(moexray_${name} PROPERTIES EXPORT_NAME ${name})
  target_include_directories(moexray_${name} PUBLIC
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
    $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_compile_features(moexray_${name} PUBLIC cxx_std_20)
  target_link_libraries(moexray_${name} PUBLIC ${arg_PUBLIC} PRIVATE ${arg_PRIVATE})
  moexray_compile_settings(moexray_${name})
  set_property(GLOBAL APPEND PROPERTY MOEXRAY_LIBRARIES moexray_${name})
endfunction()

# moexray_module(NAME SOURCES … [PRIVATE …]): a shared module that the programs open at run time.
function(moexray_module name)
  cmake_parse_arguments(arg "" "" "SOURCES;PRIVATE" ${ARGN})
  add_library(moexray_${name} MODULE ${arg_SOURCES})
  set_target_properties(moexray_${name} PROPERTIES
    PREFIX "" LIBRARY_OUTPUT_DIRECTORY ${MOEXRAY_MODULE_DIR}
    CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
  target_link_libraries(moexray_${name} PRIVATE ${arg_PRIVATE})
  moexray_compile_settings(moexray_${name})
  set_property(GLOBAL APPEND PROPERTY MOEXRAY_MODULES moexray_${name})
endfunction()

# moexray_test_headers(NAME HEADERS … [PRIVATE …]): a program that does nothing, whose precompiled headers tests share.
function(moexray_test_headers name)
  cmake_parse_arguments(arg "" "" "HEADERS;PRIVATE" ${ARGN})
  add_executable(${name} EXCLUDE_FROM_ALL ${PROJECT_SOURCE_DIR}/tests/support/test_headers.cpp)
  target_link_libraries(${name} PRIVATE ${arg_PRIVATE} GTest::gtest)
  target_compile_options(${name} PRIVATE -O0)
  moexray_compile_settings(${name})
  target_precompile_headers(${name} PRIVATE ${arg_HEADERS})
endfunction()

# moexray_test(NAME SOURCES … [LABELS …] [PRIVATE …] [ENTRIES N] [HEADERS TARGET] [OPTIMISED]): one GoogleTest program. It
# has a CTest entry per test case, or N, NAME.1 …, that share its cases: for programs that take long to start. The
# libraries do the work: tests are compiled without optimisation, with the precompiled headers of the program TARGET.
# OPTIMISED ones, which compute much themselves, are compiled as the libraries are.
function(moexray_test name)
  cmake_parse_arguments(arg "OPTIMISED" "ENTRIES;HEADERS" "SOURCES;LABELS;PRIVATE" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
  target_compile_definitions(${name} PRIVATE MOEXRAY_TEST_DATA="${PROJECT_SOURCE_DIR}/tests/data")
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
  target_link_libraries(${name} PRIVATE ${arg_PRIVATE} GTest::gtest_main)
  # Tests have small helpers of the same names.
  set_target_properties(${name} PROPERTIES UNITY_BUILD OFF)
  moexray_compile_settings(${name})
  if(NOT arg_OPTIMISED)
    if(NOT arg_HEADERS)
      set(arg_HEADERS moexray_test_headers)
    endif()
    target_compile_options(${name} PRIVATE -O0)
    target_precompile_headers(${name} REUSE_FROM ${arg_HEADERS})
  endif()
  if(NOT arg_ENTRIES)
    gtest_discover_tests(${name} DISCOVERY_TIMEOUT 60 PROPERTIES TIMEOUT 600 LABELS "${arg_LABELS}")
    return()
  endif()
  foreach(entry RANGE 1 ${arg_ENTRIES})
    math(EXPR shard "${entry} - 1")
    add_test(NAME ${name}.${entry} COMMAND ${name} --gtest_brief=1)
    set_tests_properties(${name}.${entry} PROPERTIES TIMEOUT 600 LABELS "${arg_LABELS}"
      ENVIRONMENT "GTEST_TOTAL_SHARDS=${arg_ENTRIES};GTEST_SHARD_INDEX=${shard}")
  endforeach()
endfunction()
