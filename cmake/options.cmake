# How everything is compiled: language, warnings, sanitizers, hardening.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)

option(POSTRIDER_WERROR "Treat warnings as errors" OFF)
option(POSTRIDER_HARDENED "Compile with hardening, as distributions do" OFF)
option(POSTRIDER_TESTS "Build the tests" ON)
set(POSTRIDER_SANITIZE "" CACHE STRING "Sanitizers, e.g. address,undefined or thread")
option(POSTRIDER_COVERAGE "Instrument for line coverage" OFF)
option(POSTRIDER_FUZZ "Link the fuzz targets with clang's libFuzzer" OFF)

# Seconds for one test. With the thread sanitizer it may take ten times as long.
set(POSTRIDER_PATIENCE 120)
if(POSTRIDER_SANITIZE STREQUAL "thread")
    set(POSTRIDER_PATIENCE 900)
endif()

find_program(CCACHE ccache)
if(CCACHE)
    set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
endif()

add_library(postrider_options INTERFACE)
target_compile_options(postrider_options INTERFACE
    -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual -Wcast-qual
    -Wswitch-enum -Wvla -Wno-missing-field-initializers
    $<$<BOOL:${POSTRIDER_WERROR}>:-Werror>
    # Programs only: code for shared libraries could be replaced by others, and so is never inlined.
    $<$<NOT:$<STREQUAL:$<TARGET_PROPERTY:TYPE>,MODULE_LIBRARY>>:-fPIE>)
target_link_options(postrider_options INTERFACE
    $<$<STREQUAL:$<TARGET_PROPERTY:TYPE>,EXECUTABLE>:-pie>)
target_include_directories(postrider_options INTERFACE ${PROJECT_SOURCE_DIR}/src)
target_compile_definitions(postrider_options INTERFACE
    POSTRIDER_VERSION="${PROJECT_VERSION}"
    BOOST_ASIO_SEPARATE_COMPILATION BOOST_ASIO_NO_DEPRECATED BOOST_ASIO_DISABLE_BOOST_COROUTINE
    # Coroutine frames that a thread keeps for the next ones. With two, which is the default, each
    # larger frame throws a smaller one away. The others come from malloc, whose aligned sister
    # takes several times as long.
    BOOST_ASIO_RECYCLING_ALLOCATOR_CACHE_SIZE=16
    BOOST_ASIO_DISABLE_STD_ALIGNED_ALLOC BOOST_ASIO_DISABLE_BOOST_ALIGN)

add_library(postrider_mode INTERFACE)
# Optimising, or with sanitizers, g++ 12 inlines one half of Asio's allocation of coroutine frames, and
# takes the pair for mismatched.
if(POSTRIDER_SANITIZE OR NOT CMAKE_BUILD_TYPE STREQUAL "Debug")
    target_compile_options(postrider_mode INTERFACE -Wno-mismatched-new-delete)
endif()
if(POSTRIDER_SANITIZE)
    target_compile_options(postrider_mode INTERFACE
        -fsanitize=${POSTRIDER_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
    target_link_options(postrider_mode INTERFACE -fsanitize=${POSTRIDER_SANITIZE})
endif()
if(POSTRIDER_FUZZ)
    target_compile_options(postrider_mode INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(POSTRIDER_COVERAGE)
    target_compile_options(postrider_mode INTERFACE --coverage)
    target_link_options(postrider_mode INTERFACE --coverage)
endif()
if(POSTRIDER_HARDENED)
    target_compile_options(postrider_mode INTERFACE
        -fstack-protector-strong -fstack-clash-protection -fcf-protection
        -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 -D_GLIBCXX_ASSERTIONS)
    target_link_options(postrider_mode INTERFACE -Wl,-z,relro,-z,now -Wl,--as-needed)
endif()
target_link_libraries(postrider_options INTERFACE postrider_mode)
