/* Kills a process when one of its threads enters its n-th system call from now on.
 *
 *   kill_at TID N      says `attached`, then how many calls there were when it has killed (status
 *                      0), when the thread has ended, or when it is told to stop by SIGTERM (1)
 *
 * strace's when=N counts each kind of call by itself; the sweep wants all of them in order.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t told_to_stop;
static void stop(int number) {
    (void)number;
    told_to_stop = 1;
}

static int say(long count, int status) {
    printf("%ld\n", count);
    return status;
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    const pid_t thread = (pid_t)atol(argv[1]);
    const long target = atol(argv[2]);
    struct sigaction action = {.sa_handler = stop}; /* Without SA_RESTART: waitpid ends. */
    sigaction(SIGTERM, &action, NULL);
    if (ptrace(PTRACE_SEIZE, thread, NULL, PTRACE_O_TRACESYSGOOD) != 0 ||
        ptrace(PTRACE_INTERRUPT, thread, NULL, NULL) != 0) {
        perror("kill_at");
        return 2;
    }
    long count = 0;
    int inside = 0, attached = 0;
    while (!told_to_stop) {
        int status;
        if (waitpid(thread, &status, __WALL) < 0) {
            if (errno == EINTR) continue;
            break;
        }
        if (!WIFSTOPPED(status)) break;
        int deliver = WSTOPSIG(status);
        if (deliver == (SIGTRAP | 0x80)) {
            deliver = 0;
            inside = !inside;
            if (inside && ++count == target) {
                kill(thread, SIGKILL);
                return say(count, 0);
            }
        } else if (status >> 16 == PTRACE_EVENT_STOP) {
            deliver = 0;
            if (!attached) {
                attached = 1;
                printf("attached\n");
                fflush(stdout);
            }
        }
        ptrace(PTRACE_SYSCALL, thread, NULL, (void *)(long)deliver);
    }
    return say(count, 1);
}
