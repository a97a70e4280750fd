moexray_test(trace_test
  SOURCES trace/background_writer_test.cpp trace/corruption_test.cpp trace/foreign_trace_test.cpp
          trace/joint_reading_test.cpp trace/logits_test.cpp trace/manifest_test.cpp
          trace/number_format_test.cpp trace/prompt_hints_test.cpp trace/prompts_test.cpp trace/reader_test.cpp
          trace/resume_test.cpp trace/shadows_test.cpp trace/stream_writer_test.cpp trace/trace_maker.cpp
          trace/version_2_test.cpp trace/writer_test.cpp
  PRIVATE moexray::trace moexray::test_support)
# Number formatting and flood tests look behind the public headers.
target_include_directories(trace_test PRIVATE ${PROJECT_SOURCE_DIR}/src)
moexray_test(import_test
  SOURCES trace/counts_test.cpp trace/export_test.cpp trace/import_test.cpp trace/trace_maker.cpp
  PRIVATE moexray::exports moexray::imports moexray::trace moexray::test_support nlohmann_json::nlohmann_json zstd::libzstd_shared
          ${nettle_LIBRARIES} ${ZLIB_LIBRARIES})
target_include_directories(import_test PRIVATE ${PROJECT_SOURCE_DIR}/src)
