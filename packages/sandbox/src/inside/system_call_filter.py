"""A seccomp filter for programs: system calls that no test needs, but that reach far into the kernel or outlive a process.

Among them are those that would hold memory which no limit counts (memfd, System V and POSIX message objects, kernel keys,
queues of file events) and those that would make namespaces; sockets are local only, and hold no more than they do by default.
"""

import ctypes
import errno
import platform
import struct

# Name: numbers on x86_64 and aarch64.
DENIED = {
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "process_madvise": (440, 440),
    "kcmp": (312, 272), "pidfd_getfd": (438, 438),
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51), "open_tree": (428, 428),
    "move_mount": (429, 429), "fsopen": (430, 430), "fsmount": (432, 432), "fspick": (433, 433), "mount_setattr": (442, 442),
    "unshare": (272, 97), "setns": (308, 268),
    "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282), "io_uring_setup": (425, 425), "io_setup": (206, 0),
    "keyctl": (250, 219), "add_key": (248, 217), "request_key": (249, 218),
    "memfd_create": (319, 279), "memfd_secret": (447, 447), "shmget": (29, 194), "semget": (64, 190), "msgget": (68, 186),
    "mq_open": (240, 180), "inotify_init": (253, 26), "inotify_init1": (294, 26),
    "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265), "fanotify_init": (300, 262), "quotactl": (179, 60),
    "init_module": (175, 105), "finit_module": (313, 273), "kexec_load": (246, 104), "syslog": (103, 116), "acct": (163, 89),
    "swapon": (167, 224), "personality": (135, 92), "migrate_pages": (256, 238), "move_pages": (279, 239), "mbind": (237, 235),
    "set_mempolicy": (238, 237),
}
CLONE, CLONE3, SOCKET, SETSOCKOPT = (56, 220), (435, 435), (41, 198), (54, 208)
ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}

LOAD, JUMP_EQUAL, JUMP_FROM, JUMP_ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
ALLOW, KILL_PROCESS, ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
NUMBER, ARCHITECTURE, FIRST_ARGUMENT, THIRD_ARGUMENT = 0, 4, 16, 32  # offsets in struct seccomp_data
X32_NUMBERS = 0x40000000  # a second table of the same calls
NAMESPACE_FLAGS = 0x7E020000
AF_UNIX = 1
SO_SNDBUF = 7
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2

LIBC = ctypes.CDLL(None, use_errno=True)


def instructions(machine):
    """The filter as (code, jump if true, jump if false, operand)."""
    column, architecture = ARCHITECTURES[machine]
    deny = lambda error: (RETURN, 0, 0, ERRNO | error)
    program = [
        (LOAD, 0, 0, ARCHITECTURE), (JUMP_EQUAL, 1, 0, architecture), (RETURN, 0, 0, KILL_PROCESS),
        (LOAD, 0, 0, NUMBER), (JUMP_FROM, 0, 1, X32_NUMBERS), deny(errno.ENOSYS),
        (JUMP_EQUAL, 0, 1, CLONE3[column]), deny(errno.ENOSYS),  # its flags lie in memory; libc then uses clone
    ]
    for numbers in DENIED.values():
        program += [(JUMP_EQUAL, 0, 1, numbers[column]), deny(errno.EPERM)]
    program += [
        (JUMP_EQUAL, 0, 4, CLONE[column]), (LOAD, 0, 0, FIRST_ARGUMENT), (JUMP_ANY_BIT, 0, 1, NAMESPACE_FLAGS), deny(errno.EPERM),
        (RETURN, 0, 0, ALLOW),
        (JUMP_EQUAL, 0, 4, SOCKET[column]), (LOAD, 0, 0, FIRST_ARGUMENT), (JUMP_EQUAL, 1, 0, AF_UNIX), deny(errno.EACCES),
        (RETURN, 0, 0, ALLOW),
        (JUMP_EQUAL, 0, 3, SETSOCKOPT[column]), (LOAD, 0, 0, THIRD_ARGUMENT), (JUMP_EQUAL, 0, 1, SO_SNDBUF), deny(0),  # as if it had been done
        (RETURN, 0, 0, ALLOW),
    ]
    return program


def install():
    """For this process and all it starts, for good. No privilege can be gained from here on either."""
    code = b"".join(struct.pack("HBBI", *instruction) for instruction in PROGRAM)
    buffer = ctypes.create_string_buffer(code)
    program = struct.pack("HxxxxxxP", len(PROGRAM), ctypes.addressof(buffer))
    if LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 or LIBC.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "system call filter")


PROGRAM = instructions(platform.machine()) if platform.machine() in ARCHITECTURES else None
