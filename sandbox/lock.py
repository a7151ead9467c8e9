"""How a worker gives up everything but arithmetic and its two open descriptors, for good.

In this order: root becomes nobody, descriptors are closed, memory, output and the rest are limited, Landlock denies
every path and port, and a seccomp filter answers EPERM to every system call that is not on a short list; EPERM rather
than death, so that well-meant code gets an exception. It needs no privilege and cannot be undone.
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import signal
import struct

NOBODY = 65534
PR_SET_PDEATHSIG, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, PR_SET_DUMPABLE = 1, 22, 38, 4
LANDLOCK_CREATE, LANDLOCK_RESTRICT = 444, 446

# What Python and torch need for arithmetic in one thread, and reading and writing what is open. No open, stat, socket
# call, clone, exec, kill, ptrace or ioctl, and nothing that tells of other processes or of a file's size. getpid and
# gettid are harmless; the aarch64 numbers are from the kernel's generic table.
ALLOWED = {
    "x86_64": (
        0xC000003E,
        {
            "read": 0, "write": 1, "close": 3, "mmap": 9, "mprotect": 10, "munmap": 11, "brk": 12, "rt_sigaction": 13,
            "rt_sigprocmask": 14, "rt_sigreturn": 15, "writev": 20, "sched_yield": 24, "mremap": 25, "madvise": 28,
            "nanosleep": 35, "getpid": 39, "exit": 60, "gettimeofday": 96, "sigaltstack": 131, "gettid": 186,
            "time": 201, "futex": 202, "restart_syscall": 219, "clock_gettime": 228, "clock_getres": 229,
            "clock_nanosleep": 230, "exit_group": 231, "getcpu": 309, "getrandom": 318, "rseq": 334,
        },
    ),
    "aarch64": (
        0xC00000B7,
        {
            "close": 57, "read": 63, "write": 64, "writev": 66, "exit": 93, "exit_group": 94, "futex": 98,
            "nanosleep": 101, "clock_gettime": 113, "clock_getres": 114, "clock_nanosleep": 115, "sched_yield": 124,
            "restart_syscall": 128, "sigaltstack": 132, "rt_sigaction": 134, "rt_sigprocmask": 135,
            "rt_sigreturn": 139, "getcpu": 168, "gettimeofday": 169, "getpid": 172, "gettid": 178, "brk": 214,
            "munmap": 215, "mremap": 216, "mmap": 222, "mprotect": 226, "madvise": 233, "getrandom": 278, "rseq": 293,
        },
    ),
}  # fmt: skip


FIRST_ARGUMENT = 16  # offset in what the filter sees; its low word comes first on both machines
LAST_CLOCK = 11  # CLOCK_TAI; a higher number is another process's CPU clock
FUTEX = (0, 1, 3, 4, 5, 9, 10)  # wait, wake, requeue and their kin; not the ones that take a thread's number


class LockError(Exception):
    """This system cannot lock a worker; the message says why."""


def lock(keep: int, memory_bytes: int, output_bytes: int, cpu_seconds: int) -> None:
    """Lock this process. Afterwards only `keep` and the standard descriptors are open, and at most `memory_bytes`
    more can be mapped, `output_bytes` be written to a file and `cpu_seconds` be used. Raises LockError."""
    libc = ctypes.CDLL(None, use_errno=True)
    if len(os.listdir("/proc/self/task")) > 1:  # the filter and Landlock would hold for this thread alone
        raise LockError("the worker has more than one thread")
    _be_first_to_go()
    _become_nobody()
    # After the change of user, which clears it: a worker never outlives its trainer.
    _prctl(libc, PR_SET_PDEATHSIG, signal.SIGKILL)
    os.closerange(3, keep)
    os.closerange(keep + 1, 1 << 16)
    _limit(memory_bytes, output_bytes, cpu_seconds)
    _prctl(libc, PR_SET_DUMPABLE, 0)
    _prctl(libc, PR_SET_NO_NEW_PRIVS, 1)
    _landlock(libc)
    _seccomp(libc)


def landlock_version() -> int:
    """The kernel's Landlock ABI, 0 without Landlock."""
    return max(int(ctypes.CDLL(None).syscall(LANDLOCK_CREATE, None, ctypes.c_size_t(0), 1)), 0)


def _be_first_to_go() -> None:
    # When memory runs out, the kernel shall end the worker and not the trainer, whose end would count as ours.
    try:
        with open("/proc/self/oom_score_adj", "w") as score:
            score.write("1000")
    except OSError:
        pass  # not every kernel or container has it, and the limit on the worker's memory stands without it


def _become_nobody() -> None:
    if os.geteuid() == 0:
        try:
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
        except OSError as error:
            raise LockError(f"root cannot become an unprivileged user here: {error}") from None


def _limit(memory_bytes: int, output_bytes: int, cpu_seconds: int) -> None:
    with open("/proc/self/statm") as statm:
        mapped = int(statm.read().split()[0]) * resource.getpagesize()
    limits = {
        resource.RLIMIT_AS: mapped + memory_bytes,
        resource.RLIMIT_FSIZE: output_bytes,
        resource.RLIMIT_CPU: cpu_seconds,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NPROC: 0,
        resource.RLIMIT_MEMLOCK: 0,
    }
    for name, value in limits.items():
        hard = resource.getrlimit(name)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(name, (value, value))


def _landlock(libc: ctypes.CDLL) -> None:
    version = landlock_version()
    if version == 0:
        return
    files = (1 << {1: 13, 2: 14, 3: 15, 4: 15}.get(version, 16)) - 1
    network, scopes = (3 if version >= 4 else 0), (3 if version >= 6 else 0)
    rules = ctypes.create_string_buffer(struct.pack("<QQQ", files, network, scopes))
    size = 8 if version < 4 else 16 if version < 6 else 24
    ruleset = libc.syscall(LANDLOCK_CREATE, rules, ctypes.c_size_t(size), 0)
    if ruleset < 0 or libc.syscall(LANDLOCK_RESTRICT, ruleset, 0) != 0:
        raise LockError(f"Landlock refused its rules: {os.strerror(ctypes.get_errno())}")
    os.close(ruleset)


def _seccomp(libc: ctypes.CDLL) -> None:
    machine = platform.machine()
    if machine not in ALLOWED:
        raise LockError(f"no system-call list for {machine}; there is one for {', '.join(ALLOWED)}")
    arch, calls = ALLOWED[machine]
    program = bpf(arch, calls)
    code = ctypes.create_string_buffer(program, len(program))
    header = ctypes.create_string_buffer(struct.pack("<HxxxxxxQ", len(program) // 8, ctypes.addressof(code)))
    _prctl(libc, PR_SET_SECCOMP, 2, ctypes.addressof(header))


def bpf(arch: int, calls: dict[str, int]) -> bytes:
    """The filter: another architecture's calls kill the process, those outside `calls` fail with EPERM, and so do
    clocks of other processes, those operations on a futex that tell whether a thread exists, and closing standard
    input and output."""
    load, equal, above, mask, answer = 0x20, 0x15, 0x25, 0x54, 0x06
    kill, eperm, allow = 0x80000000, 0x00050000 | 1, 0x7FFF0000

    def op(code: int, value: int, true: int = 0, false: int = 0) -> bytes:
        return struct.pack("<HBBI", code, true, false, value)

    def guarded(call: int, check: list[bytes]) -> list[bytes]:
        # `check` ends with an answer, so whoever comes past it still has the call's number loaded.
        return [op(equal, call, 0, len(check)), *check]

    clock = [op(load, FIRST_ARGUMENT), op(above, LAST_CLOCK, 0, 1), op(answer, eperm), op(answer, allow)]
    known = [op(equal, operation, len(FUTEX) - i) for i, operation in enumerate(FUTEX)]
    futex = [op(load, FIRST_ARGUMENT + 8), op(mask, 0x7F), *known, op(answer, eperm), op(answer, allow)]
    guards = [g for c in ("clock_gettime", "clock_getres", "clock_nanosleep") for g in guarded(calls[c], clock)]
    guards += guarded(calls["futex"], futex)
    # What binds a container's worker to the life of its trainer hangs on its standard input.
    standard = [op(load, FIRST_ARGUMENT), op(above, 2, 0, 1), op(answer, allow), op(answer, eperm)]
    guards += guarded(calls["close"], standard)
    allowed = sorted(calls.values())
    tests = [op(equal, call, len(allowed) - i) for i, call in enumerate(allowed)]
    check_arch = [op(load, 4), op(equal, arch, 1), op(answer, kill)]
    return b"".join([*check_arch, op(load, 0), *guards, *tests, op(answer, eperm), op(answer, allow)])


def _prctl(libc: ctypes.CDLL, option: int, *values: int) -> None:
    arguments = [ctypes.c_ulong(v) for v in (*values, *[0] * (4 - len(values)))]
    if libc.prctl(option, *arguments) != 0:
        raise LockError(f"prctl({option}) failed: {os.strerror(ctypes.get_errno())}")
