// Preloaded into a queue under measurement: every sync takes SLOW_SYNC_MS longer, as on a slow disk.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

static int slowly(const char *name, int fd) {
    static long milliseconds = -1;
    if (milliseconds < 0) {
        const char *text = getenv("SLOW_SYNC_MS");
        milliseconds = text != NULL ? atol(text) : 10;
    }
    const struct timespec pause = {milliseconds / 1000, milliseconds % 1000 * 1000000};
    nanosleep(&pause, NULL);
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    return real(fd);
}

int fsync(int fd) { return slowly("fsync", fd); }
int fdatasync(int fd) { return slowly("fdatasync", fd); }
