# Cross-compiles for 64-bit Windows on Debian by clang with the headers and libraries of MinGW (packages clang-16,
# g++-mingw-w64-x86-64-posix and wine64); tests then run under Wine:
#   cmake -S . -B build/windows -DCMAKE_TOOLCHAIN_FILE=tools/windows-toolchain.cmake -DSIGHTLINE_BUILD_PYTHON=OFF -DSIGHTLINE_BUILD_TESTS=ON
# Not by g++, which keeps the stack of Win64 aligned to 16 bytes only and crashes where it spills a register of AVX (GCC bug
# 54412).
set(CMAKE_SYSTEM_NAME Windows)
set(CMAKE_SYSTEM_PROCESSOR x86_64)
set(CMAKE_CXX_COMPILER clang++-16)
set(CMAKE_CXX_COMPILER_TARGET x86_64-w64-mingw32)
set(CMAKE_RC_COMPILER x86_64-w64-mingw32-windres)
# Clang does not find the folder of a g++ for one kind of threads by itself.
file(GLOB SIGHTLINE_MINGW_GCC /usr/lib/gcc/x86_64-w64-mingw32/*-posix)
set(SIGHTLINE_MINGW_HEADERS ${SIGHTLINE_MINGW_GCC}/include/c++)
# Programs that run without DLLs of MinGW. No std::call_once: of this libstdc++ it needs -femulated-tls, which frees the
# variables of a thread before their destructors run.
set(CMAKE_CXX_FLAGS_INIT
  "-stdlib++-isystem ${SIGHTLINE_MINGW_HEADERS} -stdlib++-isystem ${SIGHTLINE_MINGW_HEADERS}/x86_64-w64-mingw32")
set(CMAKE_EXE_LINKER_FLAGS_INIT "-static -L${SIGHTLINE_MINGW_GCC}")
set(CMAKE_FIND_ROOT_PATH /usr/x86_64-w64-mingw32)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_CROSSCOMPILING_EMULATOR /usr/lib/wine/wine64)
