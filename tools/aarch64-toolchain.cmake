# Cross-compiles for 64-bit Arm on Debian (packages g++-aarch64-linux-gnu and qemu-user); tests then run under qemu:
#   cmake -S . -B build/aarch64 -DCMAKE_TOOLCHAIN_FILE=tools/aarch64-toolchain.cmake -DSIGHTLINE_BUILD_PYTHON=OFF -DSIGHTLINE_BUILD_TESTS=ON
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_FIND_ROOT_PATH /usr/aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(SIGHTLINE_QEMU_CPU max CACHE STRING "The CPU that qemu imitates: max, or cortex-a53, which has no dot products")
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64 -cpu ${SIGHTLINE_QEMU_CPU} -L /usr/aarch64-linux-gnu)
