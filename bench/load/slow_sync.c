// Preloaded into a queue under measurement: every sync takes SLOW_SYNC_MS longer, as on a slow disk,
// and is counted in the eight bytes of the file SLOW_SYNC_COUNT.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static struct timespec pause_before;
static unsigned long *count;

// Before the program confines itself: later it may not open a file.
__attribute__((constructor)) static void prepare(void) {
    const char *milliseconds = getenv("SLOW_SYNC_MS");
    const char *path = getenv("SLOW_SYNC_COUNT");
    pause_before.tv_nsec = (milliseconds != NULL ? atol(milliseconds) : 10) * 1000000;
    const int file = path != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (file < 0) return;
    void *map = mmap(NULL, sizeof *count, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (map != MAP_FAILED) count = map;
    close(file);
}

static int slowly(const char *name, int fd) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    if (count != NULL) __atomic_add_fetch(count, 1, __ATOMIC_RELAXED);
    nanosleep(&pause_before, NULL);
    return real(fd);
}

int fsync(int fd) { return slowly("fsync", fd); }
int fdatasync(int fd) { return slowly("fdatasync", fd); }
