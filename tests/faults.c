// Preloaded in front of the C library: makes the n-th writing system call on a file of an index fail, or all from the n-th
// on. Only files whose path holds the marker of arm() count; reading is left alone.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

enum Mode { kOff = 0, kNoSpace = 1, kBroken = 2, kShortWrite = 3 };

static char marker[256];
static long first_failure, calls;
static int mode, sticky;

void fault_arm(const char* path_part, long nth, int which, int keep_failing) {
  strncpy(marker, path_part, sizeof marker - 1);
  first_failure = nth;
  mode = which;
  sticky = keep_failing;
  __atomic_store_n(&calls, 0, __ATOMIC_SEQ_CST);
}

long fault_calls(void) { return __atomic_load_n(&calls, __ATOMIC_SEQ_CST); }

static int due(void) {
  const long call = __atomic_add_fetch(&calls, 1, __ATOMIC_SEQ_CST);
  return mode != kOff && (call == first_failure || (sticky && call > first_failure));
}

static int due_for_path(const char* path) { return marker[0] && path && strstr(path, marker) && due(); }

static int due_for(int descriptor) {
  if (!marker[0]) return 0;
  char name[64], path[PATH_MAX];
  snprintf(name, sizeof name, "/proc/self/fd/%d", descriptor);
  const ssize_t size = readlink(name, path, sizeof path - 1);
  if (size < 0) return 0;
  path[size] = 0;
  return due_for_path(path);
}

static int fail(void) {
  errno = mode == kBroken ? EIO : ENOSPC;
  return -1;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

#define WRITER(name, offset_type)                                                                   \
  ssize_t name(int descriptor, const void* data, size_t size, offset_type offset) {                 \
    if (due_for(descriptor)) {                                                                      \
      if (mode != kShortWrite || size < 2) return fail();                                           \
      size /= 2;                                                                                    \
    }                                                                                               \
    return REAL(name)(descriptor, data, size, offset);                                              \
  }
WRITER(pwrite, off_t)
WRITER(pwrite64, off64_t)

ssize_t write(int descriptor, const void* data, size_t size) {
  if (due_for(descriptor)) {
    if (mode != kShortWrite || size < 2) return fail();
    size /= 2;
  }
  return REAL(write)(descriptor, data, size);
}

#define SIMPLE(name)                                     \
  int name(int descriptor) {                             \
    if (due_for(descriptor)) return fail();              \
    return REAL(name)(descriptor);                       \
  }
SIMPLE(fsync)
SIMPLE(fdatasync)

int ftruncate(int descriptor, off_t size) { return due_for(descriptor) ? fail() : REAL(ftruncate)(descriptor, size); }
int ftruncate64(int descriptor, off64_t size) {
  return due_for(descriptor) ? fail() : REAL(ftruncate64)(descriptor, size);
}
int rename(const char* from, const char* to) { return due_for_path(to) ? fail() : REAL(rename)(from, to); }
int unlink(const char* path) { return due_for_path(path) ? fail() : REAL(unlink)(path); }
