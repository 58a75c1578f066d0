/* Disturbs a process when one of its threads enters its n-th system call from now on.
 *
 *   kill_at TID N      kills; says `attached`, then how many calls there were when it has killed
 *                      (status 0), when the thread has ended, or when it is told to stop by SIGTERM
 *                      (1)
 *   kill_at -SIGNAL N REPORT COMMAND...
 *                      runs the command, from its first call on, and sends it that signal; 0 is a
 *                      pause instead. Ends as the command does, and writes the number of calls into
 *                      the file REPORT
 *
 * strace's when=N counts each kind of call by itself; the sweep wants all of them in order.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
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

static void disturb(pid_t process, int number) {
    if (number != 0) {
        kill(process, number);
    } else {
        usleep(300000);
    }
}

static int run(int number, long target, const char *report, char **command) {
    const pid_t process = fork();
    if (process == 0) {
        ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        setenv("LSAN_OPTIONS", "detect_leaks=0", 1); /* Which needs ptrace for itself. */
        execvp(command[0], command);
        _exit(127);
    }
    long count = 0;
    int inside = 0, status = 0, begun = 0;
    while (waitpid(process, &status, 0) == process && WIFSTOPPED(status)) {
        int deliver = WSTOPSIG(status);
        if (!begun) { /* The command's image is there. */
            begun = 1;
            deliver = 0;
            ptrace(PTRACE_SETOPTIONS, process, NULL, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
        } else if (deliver == (SIGTRAP | 0x80)) {
            deliver = 0;
            inside = !inside;
            if (inside && ++count == target) disturb(process, number);
        }
        ptrace(PTRACE_SYSCALL, process, NULL, (void *)(long)deliver);
    }
    FILE *out = fopen(report, "w");
    if (out == NULL || fprintf(out, "%ld\n", count) < 0 || fclose(out) != 0) return 2;
    if (WIFEXITED(status)) return WEXITSTATUS(status);
    const struct rlimit no_core = {0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    signal(WTERMSIG(status), SIG_DFL);
    raise(WTERMSIG(status));
    return 2;
}

int main(int argc, char **argv) {
    if (argc > 4 && argv[1][0] == '-') return run(atoi(argv[1] + 1), atol(argv[2]), argv[3], argv + 4);
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
