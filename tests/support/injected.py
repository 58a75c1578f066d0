"""System calls made by another process, as code that an attacker runs in it would make them: the
process is stopped where it waits and made to call what we say (x86-64, root).

    with Injected(pid) as worker:
        worker.call(OPENAT, AT_FDCWD, b"/etc/passwd", os.O_RDONLY)     # a result, or -errno
"""

import ctypes
import os
import platform
import signal
import time

from mailbench import Skip

ATTACH, DETACH, GETREGS, SETREGS, STEP, POKE = 16, 17, 12, 13, 9, 4
AT_FDCWD = -100
SOCKET, CONNECT, CLONE, FORK, EXECVE, KILL, PTRACE, SETUID, MOUNT = 41, 42, 56, 57, 59, 62, 101, 105, 165
OPENAT, UNLINKAT, BPF, EXECVEAT, PROCESS_VM_READV, IO_URING_SETUP, PIDFD_OPEN, GETUID = (
    257, 263, 321, 322, 310, 425, 434, 102)


class Registers(ctypes.Structure):
    _fields_ = [(name, ctypes.c_ulonglong) for name in (
        "r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs eflags rsp ss "
        "fs_base gs_base ds es fs gs").split()]


class Ended(Exception):
    """The process did not live to see the result; the signal that ended it."""


class Injected:
    def __init__(self, pid):
        if platform.machine() != "x86_64" or os.geteuid() != 0:
            raise Skip("making another process call something needs root on x86-64")
        self.pid = pid
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p]
        self.libc.ptrace.restype = ctypes.c_long

    def ptrace(self, request, address=None, value=None):
        if self.libc.ptrace(request, self.pid, address, value) < 0:
            raise OSError(ctypes.get_errno(), f"ptrace {request}")

    def wait(self):
        _, status = os.waitpid(self.pid, 0x40000000)  # __WALL
        if os.WIFSIGNALED(status):
            raise Ended(signal.Signals(os.WTERMSIG(status)).name)
        return status

    def __enter__(self):
        self.saved = Registers()
        for _ in range(500):
            self.ptrace(ATTACH)
            self.wait()
            self.ptrace(GETREGS, None, ctypes.addressof(self.saved))
            with open(f"/proc/{self.pid}/mem", "rb", 0) as memory:
                memory.seek(self.saved.rip - 2)
                if memory.read(2) == b"\x0f\x05":
                    return self
            # It was at work: wait until it waits.
            self.ptrace(DETACH)
            time.sleep(0.01)
        raise AssertionError(f"process {self.pid} never waits")

    def __exit__(self, kind, *_):
        if kind is not Ended:
            self.ptrace(SETREGS, None, ctypes.addressof(self.saved))
            self.ptrace(DETACH)

    def call(self, number, *arguments):
        """Where it waits stands a system call instruction, just behind us: it is used again."""
        registers = Registers.from_buffer_copy(self.saved)
        top = (registers.rsp - 4096) & ~7  # Below the stack in use, its red zone included.
        for name, argument in zip(("rdi", "rsi", "rdx", "r10", "r8", "r9"), arguments):
            if isinstance(argument, bytes):
                text = argument + bytes(8 - len(argument) % 8)
                top -= len(text)
                for at in range(0, len(text), 8):
                    word = int.from_bytes(text[at:at + 8], "little")
                    self.ptrace(POKE, top + at, word)
                argument = top
            setattr(registers, name, argument & (1 << 64) - 1)
        registers.rax = number
        registers.orig_rax = (1 << 64) - 1  # Not a call to be taken up again.
        registers.rip -= 2
        self.ptrace(SETREGS, None, ctypes.addressof(registers))
        for _ in range(8):
            self.ptrace(STEP)
            status = self.wait()
            if os.WSTOPSIG(status) == signal.SIGTRAP:
                break
            if os.WSTOPSIG(status) == signal.SIGSYS:
                self.ptrace(DETACH, None, signal.SIGSYS)
                raise Ended("SIGSYS")
        self.ptrace(GETREGS, None, ctypes.addressof(registers))
        result = registers.rax
        return result - (1 << 64) if result >> 63 else result
