/* Faults at the C library's door, told by a page that the test shares with the process.
 *
 * strace cannot make calls fail here: the filter that confines the workers takes a call that was
 * skipped for a forbidden one. Preloaded, this decides before the call is made. See faults.py.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

enum { SYNC, WRITE, TRUNCATE, ALLOCATE, MEMORY, CALLS };
enum { LIE = -1, SHORT = -2 }; /* Instead of an errno: say that it worked; write one half. */

struct call {
    _Atomic int64_t count; /* Calls so far, over all processes. */
    int64_t from, to;      /* Those with from <= count < to are struck. */
    int64_t error;
    int64_t delay_us; /* Before each, struck or not. */
};

struct page {
    struct call calls[CALLS];
    _Atomic int64_t clock_offset_ns; /* Added to the time of day. */
};

static struct page *page;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("POSTRIDER_FAULTS");
    const int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0) return;
    void *at = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (at != MAP_FAILED) page = at;
}

/* What shall become of this call: 0, an errno, LIE or SHORT. */
static int fate(int which) {
    if (!page) return 0;
    struct call *call = &page->calls[which];
    const int64_t count = atomic_fetch_add(&call->count, 1);
    if (call->delay_us) usleep((useconds_t)call->delay_us);
    return count >= call->from && count < call->to ? (int)call->error : 0;
}

static int failed(int error) {
    errno = error;
    return -1;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

#define SYNCING(name)                                  \
    int name(int fd) {                                 \
        const int what = fate(SYNC);                   \
        if (what == LIE) return 0;                     \
        return what ? failed(what) : REAL(name)(fd);   \
    }
SYNCING(fsync)
SYNCING(fdatasync)

#define WRITING(name)                                                     \
    ssize_t name(int fd, const void *bytes, size_t size, off_t at) {      \
        const int what = fate(WRITE);                                     \
        if (what == SHORT && size > 1) size /= 2;                         \
        return what > 0 ? failed(what) : REAL(name)(fd, bytes, size, at); \
    }
WRITING(pwrite)
WRITING(pwrite64)

#define TRUNCATING(name)                                 \
    int name(int fd, off_t size) {                       \
        const int what = fate(TRUNCATE);                 \
        return what ? failed(what) : REAL(name)(fd, size); \
    }
TRUNCATING(ftruncate)
TRUNCATING(ftruncate64)

#define ALLOCATING(name, on_failure)                           \
    int name(int fd, off_t at, off_t size) {                   \
        const int what = fate(ALLOCATE);                       \
        return what ? on_failure(what) : REAL(name)(fd, at, size); \
    }
#define AS_VALUE(error) (error)
ALLOCATING(posix_fallocate, AS_VALUE)
ALLOCATING(posix_fallocate64, AS_VALUE)

/* Without dlsym, which needs memory itself. A sanitizer has a heap of its own, to which what is freed
 * goes back. */
extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__interceptor_malloc(size_t) __attribute__((weak));
extern void *__interceptor_calloc(size_t, size_t) __attribute__((weak));
extern void *__interceptor_realloc(void *, size_t) __attribute__((weak));
#define HEAP(name, ...) \
    (__interceptor_##name ? __interceptor_##name(__VA_ARGS__) : __libc_##name(__VA_ARGS__))

static int has_memory(void) {
    if (fate(MEMORY) == 0) return 1;
    errno = ENOMEM;
    return 0;
}

void *malloc(size_t size) {
    return has_memory() ? HEAP(malloc, size) : NULL;
}
void *calloc(size_t count, size_t size) {
    return has_memory() ? HEAP(calloc, count, size) : NULL;
}
void *realloc(void *old, size_t size) {
    return has_memory() ? HEAP(realloc, old, size) : NULL;
}

/* operator new and new[]. They come by malloc, but for a sanitizer's own. */
extern void _ZSt17__throw_bad_allocv(void) __attribute__((weak));
#define NEW(name)                                                              \
    void *name(size_t size) {                                                  \
        static __typeof__(&name) _Atomic real;                                 \
        if (!real) real = REAL(name);                                          \
        if (__interceptor_malloc && !has_memory()) _ZSt17__throw_bad_allocv(); \
        return real(size);                                                     \
    }
NEW(_Znwm)
NEW(_Znam)

static int64_t offset(void) {
    return page ? atomic_load(&page->clock_offset_ns) : 0;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    const int result = REAL(clock_gettime)(clock, now);
    if (result != 0 || (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE)) return result;
    const int64_t time = (int64_t)now->tv_sec * 1000000000 + now->tv_nsec + offset();
    now->tv_sec = time / 1000000000;
    now->tv_nsec = time % 1000000000;
    return 0;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    (void)zone;
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    now->tv_sec = time.tv_sec;
    now->tv_usec = time.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *now) {
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    if (now) *now = time.tv_sec;
    return time.tv_sec;
}
