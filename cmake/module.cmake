# One call declares a module: a static library, its test program, its place among the layers.
#
#   postrider_module(queue
#       DEPENDS  core mail            named in its headers or sources
#       USES     SQLite::SQLite3      libraries of others, private
#       EXPORTS  Boost::headers       libraries of others that its headers name
#       SOURCES  spool.cc ...
#       TESTS    spool_test.cc ...)
#
# tests/include_graph holds the #include lines against DEPENDS.

include(GoogleTest)

function(postrider_module name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "DEPENDS;USES;EXPORTS;SOURCES;TESTS")
    set(target postrider_${name})
    if(NOT arg_SOURCES)
        file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/empty.cc "")
        list(APPEND arg_SOURCES ${CMAKE_CURRENT_BINARY_DIR}/empty.cc)
    endif()
    add_library(${target} STATIC ${arg_SOURCES})
    add_library(postrider::${name} ALIAS ${target})
    target_link_libraries(${target} PUBLIC postrider_options ${arg_EXPORTS})
    target_link_libraries(${target} PRIVATE ${arg_USES})
    foreach(dependency IN LISTS arg_DEPENDS)
        target_link_libraries(${target} PUBLIC postrider::${dependency})
    endforeach()
    set_property(GLOBAL APPEND_STRING PROPERTY POSTRIDER_LAYERS "${name}: ${arg_DEPENDS}\n")
    if(POSTRIDER_TESTS AND arg_TESTS)
        add_executable(${name}_test ${arg_TESTS})
        set_target_properties(${name}_test PROPERTIES
            RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
        target_link_libraries(${name}_test PRIVATE
            ${target} ${arg_USES} GTest::gmock GTest::gtest_main)
        # What is tested is compiled as it will run; the tests themselves only have to compile fast.
        target_compile_options(${name}_test PRIVATE -O0 -U_FORTIFY_SOURCE)
        gtest_discover_tests(${name}_test TEST_PREFIX ${name}. PROPERTIES LABELS unit
            TIMEOUT ${POSTRIDER_PATIENCE} DISCOVERY_TIMEOUT 60)
    endif()
endfunction()
