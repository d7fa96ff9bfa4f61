"""A cell: one process tree with user, process, mount and IPC namespaces of its own, under limits, that dies as a whole.

A *zygote* is a process that has imported what programs usually import and forks a cell when asked. It never sees a job:
a cell reads its own, so that nothing of one job is in the memory that later cells inherit.
"""

import ctypes
import gc
import os
import random
import resource
import select
import signal
import socket
import struct

from . import system_call_filter
from .channel import read_back, receive_descriptors, send

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID = 0x20000, 0x8000000, 0x10000000, 0x20000000
MS_NOSUID, MS_NODEV, MS_NOEXEC = 2, 4, 8
PR_SET_DUMPABLE = 4
CAPABILITIES_VERSION_3 = 0x20080522

LARGEST_FILE = 16 << 20
MEMORY_CHECK_MS = 100
PAGE = resource.getpagesize()


# --- the zygote ----------------------------------------------------------------------------------------------------


def start_zygote(body, descriptors):
    """Forks a zygote of cells that run `body(job, *channels)`; returns the socket that orders them, with `descriptors` each."""
    ours, theirs = socket.socketpair()
    if os.fork() == 0:
        os.closerange(3, theirs.fileno())
        os.closerange(theirs.fileno() + 1, 1024)
        null = os.open("/dev/null", os.O_RDWR)
        for target in (0, 1, 2):
            os.dup2(null, target)  # neither reads jobs from Node nor answers it
        signal.signal(signal.SIGCHLD, reap)
        gc.collect()
        gc.freeze()  # a collection in a cell need not copy these pages
        try:
            serve_orders(theirs, body, descriptors)
        finally:
            os._exit(0)
    theirs.close()
    return ours


def reap(*_):
    """Waits for supervisors that have ended, which also keeps the account of their processor time."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0] != 0:
            pass
    except ChildProcessError:
        pass


def serve_orders(orders, body, count):
    while True:
        try:
            received = receive_descriptors(orders, count)
        except EOFError:
            return
        if os.fork() == 0:
            orders.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            supervise(body, *received)
            os._exit(0)
        for descriptor in received:
            os.close(descriptor)


# --- the supervisor of one cell ------------------------------------------------------------------------------------


def supervise(body, control, job, *channels):
    """Runs a cell and reports its end: {"status", "cpuMs", "overMemory"}, or first {"fault"} when it could not be made."""
    control = socket.socket(fileno=control)
    job = read_back(job)
    try:
        make_namespaces()
    except OSError as error:
        return send(control, {"fault": "namespaces of its own for a test: %s" % error})
    pid = os.fork()
    if pid == 0:
        live_in_cell(body, job, control, channels)
    for descriptor in channels:
        os.close(descriptor)
    over_memory = wait_for_end(pid, control, job["limits"]["memoryBytes"])
    _, status, usage = os.wait4(pid, 0)
    send(control, {"status": status, "cpuMs": (usage.ru_utime + usage.ru_stime) * 1000, "overMemory": over_memory})


def wait_for_end(pid, control, memory_bytes):
    """Returns when the first process has ended, on its own, on a word of the launcher, or for memory; true for the last."""
    ended = os.pidfd_open(pid)
    events = select.poll()
    events.register(ended, select.POLLIN)
    events.register(control, select.POLLIN)
    over_memory = False
    while True:
        ready = [descriptor for descriptor, _ in events.poll(MEMORY_CHECK_MS)]
        if ended in ready:
            os.close(ended)
            return over_memory
        if ready:
            events.unregister(control)
        over_memory = over_memory or (not ready and resident_bytes() > memory_bytes)
        if ready or over_memory:
            os.kill(pid, signal.SIGKILL)  # the first process of its namespace: the kernel kills the rest with it


def resident_bytes():
    """Of all processes of the cell together, which no resource limit counts; shared pages once for each. /proc is the cell's own here."""
    pages = 0
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open("/proc/%s/statm" % name) as file:
                    pages += int(file.read().split()[1])
            except OSError:
                pass  # ended since it was listed
    return pages * PAGE


# --- inside the cell -----------------------------------------------------------------------------------------------


def make_namespaces():
    uid, gid = os.getuid(), os.getgid()
    if LIBC.unshare(CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    for name, text in (("setgroups", "deny"), ("uid_map", "%d %d 1" % (uid, uid)), ("gid_map", "%d %d 1" % (gid, gid))):
        descriptor = os.open("/proc/self/" + name, os.O_WRONLY)
        os.write(descriptor, text.encode())
        os.close(descriptor)


def live_in_cell(body, job, control, channels):
    try:
        enter_cell(job["limits"])
    except BaseException as error:
        send(control, {"fault": "a cell for a test: %s" % error})
        os._exit(1)
    control.close()
    try:
        body(job, *channels)
    finally:
        os._exit(0)


def enter_cell(limits):
    os.setsid()  # signals to a process group reach across process namespaces
    mount(b"proc", b"/proc")
    for folder in (b"/tmp", b"/dev/shm"):
        mount(b"tmpfs", folder, b"size=%d,nr_inodes=4096" % LARGEST_FILE)
    os.chdir("/tmp")
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")  # should the machine run out of memory, this goes first
    for limit, value in (
        (resource.RLIMIT_AS, limits["memoryBytes"]),
        (resource.RLIMIT_CPU, limits["cpuSeconds"]),
        (resource.RLIMIT_NPROC, limits["processes"]),
        (resource.RLIMIT_FSIZE, LARGEST_FILE),
        (resource.RLIMIT_NOFILE, 128),  # sockets hold 200 KiB each that no other limit counts
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(limit, (value, value))
    drop_privileges()
    os.environ.clear()
    os.environ["HOME"] = "/tmp"  # where libraries keep settings and caches
    random.seed(0)  # a program that draws numbers draws the same ones each time


def mount(kind, target, data=b""):
    if LIBC.mount(kind, target, kind, MS_NOSUID | MS_NODEV | MS_NOEXEC, data) != 0:
        raise OSError(ctypes.get_errno(), "mount %s: %s" % (target.decode(), os.strerror(ctypes.get_errno())))


def drop_privileges():
    if LIBC.capset(struct.pack("<Ii", CAPABILITIES_VERSION_3, 0), bytes(24)) != 0:
        raise OSError(ctypes.get_errno(), "capset")
    LIBC.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    system_call_filter.install()
