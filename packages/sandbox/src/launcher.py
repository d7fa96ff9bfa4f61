"""Runs programs against tests, inside one bubblewrap.

Three kinds of process: this launcher, which talks to Node; a candidate zygote, which never sees a test; and a referee
zygote, which never runs a program. For each job each zygote forks a child. The candidate's child gets namespaces of its
own and answers calls over a socket that carries plain data only; the referee's child runs the tests, with stand-ins for
the candidate's functions.

Wire formats: Node and launcher exchange one JSON document a line; everything else is a 4-byte length and JSON.
"""

import array
import ctypes
import json
import os
import resource
import select
import signal
import socket
import struct
import sys
import time

LARGEST_MESSAGE = 64 << 20
LIBC = ctypes.CDLL(None, use_errno=True)

# --- messages -----------------------------------------------------------------------------------------------------


def send(channel, value):
    body = json.dumps(value).encode()
    channel.sendall(struct.pack("<I", len(body)) + body)


def receive(channel):
    """Next message; raises EOFError when the other side is gone and ValueError when it talks nonsense."""
    (length,) = struct.unpack("<I", receive_bytes(channel, 4))
    if length > LARGEST_MESSAGE:
        raise ValueError("message of %d bytes" % length)
    return json.loads(receive_bytes(channel, length))


def receive_bytes(channel, length):
    parts = []
    while length > 0:
        part = channel.recv(min(length, 1 << 16))
        if not part:
            raise EOFError
        parts.append(part)
        length -= len(part)
    return b"".join(parts)


def send_job(zygote, job, descriptors):
    zygote.sendmsg([b"j"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))])
    send(zygote, job)


def receive_job(zygote, count):
    data, ancillary, _, _ = zygote.recvmsg(1, socket.CMSG_LEN(count * 4))
    if not data:
        raise EOFError
    descriptors = array.array("i")
    descriptors.frombytes(ancillary[0][2][: count * 4])
    return receive(zygote), list(descriptors)


# --- plain data: exact types only, since a subclass could bring its own equality -----------------------------------


class NotPlain(Exception):
    pass


def pack(value):
    kind = type(value)
    if value is None or kind is bool or kind is str:
        return value
    if kind is int:
        return {"int": hex(value)}
    if kind is float:
        return {"float": value.hex()}
    if kind is complex:
        return {"complex": [value.real.hex(), value.imag.hex()]}
    if kind is bytes:
        return {"bytes": value.hex()}
    if kind in SEQUENCES:
        return {kind.__name__: [pack(item) for item in value]}
    if kind is dict:
        return {"dict": [[pack(key), pack(item)] for key, item in value.items()]}
    raise NotPlain(kind.__name__)


SEQUENCES = {list, tuple, set, frozenset}


def unpack(packed):
    if packed is None or isinstance(packed, (bool, str)):
        return packed
    ((kind, value),) = packed.items()
    return UNPACK[kind](value)


UNPACK = {
    "int": lambda text: int(text, 16),
    "float": float.fromhex,
    "complex": lambda parts: complex(float.fromhex(parts[0]), float.fromhex(parts[1])),
    "bytes": bytes.fromhex,
    "list": lambda items: [unpack(item) for item in items],
    "tuple": lambda items: tuple(unpack(item) for item in items),
    "set": lambda items: {unpack(item) for item in items},
    "frozenset": lambda items: frozenset(unpack(item) for item in items),
    "dict": lambda items: {unpack(key): unpack(item) for key, item in items},
}


def describe(error):
    try:
        return str(error)[:500]
    except BaseException:  # an exception of the candidate's own may fail to print itself
        return ""


# --- the candidate -------------------------------------------------------------------------------------------------


def candidate_zygote(zygote):
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        job, (calls, control, output) = receive_job(zygote, 3)
        if os.fork() == 0:
            zygote.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            supervise_candidate(job, calls, control, output)
            os._exit(0)
        for descriptor in (calls, control, output):
            os.close(descriptor)


def supervise_candidate(job, calls, control, output):
    """Puts the candidate into namespaces of its own, tells the launcher whom to kill, and reports how it ended."""
    channel = socket.socket(fileno=control)
    try:
        isolate()
    except OSError as error:
        send(channel, {"fault": "namespaces: %s" % error})
        return
    pid = os.fork()
    if pid == 0:
        channel.close()
        run_candidate(job, calls, output)
        os._exit(0)
    os.close(calls)
    os.close(output)
    send(channel, {"pid": pid})
    _, status, usage = os.wait4(pid, 0)
    send(channel, {"status": status, "cpuMs": (usage.ru_utime + usage.ru_stime) * 1000})


CLONE_NEWNS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID = 0x20000, 0x8000000, 0x10000000, 0x20000000


def isolate():
    uid, gid = os.getuid(), os.getgid()
    if LIBC.unshare(CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    for name, text in (("setgroups", "deny"), ("uid_map", "%d %d 1" % (uid, uid)), ("gid_map", "%d %d 1" % (gid, gid))):
        with open("/proc/self/" + name, "w") as file:
            file.write(text)


MS_NOSUID, MS_NODEV, MS_NOEXEC = 2, 4, 8


def mount(kind, target, data=b""):
    if LIBC.mount(kind, target, kind, MS_NOSUID | MS_NODEV | MS_NOEXEC, data) != 0:
        raise OSError(ctypes.get_errno(), "mount " + target.decode())


def drop_privileges():
    PR_SET_NO_NEW_PRIVS, PR_SET_DUMPABLE = 38, 4
    LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    header = struct.pack("<Ii", 0x20080522, 0)
    if LIBC.capset(header, bytes(24)) != 0:
        raise OSError(ctypes.get_errno(), "capset")
    LIBC.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


def run_candidate(job, calls, output):
    os.setsid()  # signals to a process group reach across process namespaces
    mount(b"proc", b"/proc")
    mount(b"tmpfs", b"/tmp", b"size=16m")
    os.chdir("/tmp")
    limits = job["limits"]
    null = os.open("/dev/null", os.O_RDONLY)
    for source, target in ((null, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    channel = os.dup2(calls, 3)
    os.closerange(4, 1024)
    for limit, value in (
        (resource.RLIMIT_AS, limits["memoryBytes"]),
        (resource.RLIMIT_CPU, limits["cpuSeconds"]),
        (resource.RLIMIT_NPROC, limits["processes"]),
        (resource.RLIMIT_FSIZE, 16 << 20),
        (resource.RLIMIT_NOFILE, 64),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(limit, (value, value))
    drop_privileges()
    os.environ.clear()
    serve_calls(socket.socket(fileno=channel), job["candidate"])


def serve_calls(channel, text):
    namespace = {"__name__": "candidate"}
    try:
        program = compile(text, "candidate", "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError) as error:
        return send(channel, {"loaded": "syntax", "message": describe(error)})
    try:
        exec(program, namespace)
    except BaseException as error:
        return send(channel, {"loaded": type(error).__name__, "message": describe(error)})
    send(channel, {"loaded": "ok"})
    while True:
        try:
            call = receive(channel)
        except EOFError:
            return
        send(channel, answer(namespace, call))


def answer(namespace, call):
    try:
        function = namespace[call["name"]]
    except KeyError:
        return {"raised": "NameError", "message": "name %r is not defined" % call["name"]}
    arguments = [unpack(item) for item in call["arguments"]]
    keywords = {name: unpack(item) for name, item in call["keywords"].items()}
    try:
        result = function(*arguments, **keywords)
        return {"value": pack(result), "arguments": [pack(item) for item in arguments]}
    except NotPlain as error:
        return {"notPlain": str(error)}
    except BaseException as error:
        return {"raised": type(error).__name__, "message": describe(error)}


# --- the referee ---------------------------------------------------------------------------------------------------


class CandidateFailed(Exception):
    """Ends a check: carries the status and the cause of the verdict."""


def referee_zygote(zygote):
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        job, (calls, control) = receive_job(zygote, 2)
        if os.fork() == 0:
            zygote.close()
            null = os.open("/dev/null", os.O_RDWR)
            for target in (0, 1, 2):
                os.dup2(null, target)
            resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
            channel = socket.socket(fileno=control)
            send(channel, {"pid": os.getpid()})
            send(channel, referee(job, socket.socket(fileno=calls)))
            os._exit(0)
        for descriptor in (calls, control):
            os.close(descriptor)


def referee(job, channel):
    """Runs every check, also after one has failed; the first failure names the verdict."""
    total = len(job["checks"])
    try:
        loaded = receive(channel)
        status = loaded["loaded"]
    except (EOFError, OSError):
        return {"died": True, "passed": 0, "total": total}
    except Exception as error:
        return verdict("error", "protocol: " + describe(error), 0, total)
    if status != "ok":
        return verdict(*status_of_exception(status, str(loaded.get("message"))), 0, total)
    passed, first = 0, None
    for check in job["checks"]:
        try:
            run_check(job, check, channel)
            passed += 1
        except CandidateFailed as failure:
            first = first or failure.args
        except (EOFError, BrokenPipeError, ConnectionResetError):
            return {"died": True, "passed": passed, "total": total}
        except AssertionError as error:
            first = first or ("failed", describe(error) or "assertion")
        except BaseException as error:
            first = first or ("failed", "%s: %s" % (type(error).__name__, describe(error)))
    return verdict(*(first or ("passed", "all checks passed")), passed, total)


def verdict(status, cause, passed, total):
    return {"status": status, "cause": cause, "passed": passed, "total": total}


def status_of_exception(kind, message):
    if kind == "syntax":
        return "syntax", message
    return ("memory" if kind == "MemoryError" else "error"), "%s: %s" % (kind, message)


def run_check(job, check, channel):
    namespace = {"__name__": "referee", "__candidate__": lambda name: stand_in(name, channel)}
    for name in job["entryPoints"]:
        namespace[name] = stand_in(name, channel)
    exec(compile(check, "check", "exec"), namespace)


def stand_in(name, channel):
    def call(*arguments, **keywords):
        send(channel, {
            "name": name,
            "arguments": [pack(item) for item in arguments],
            "keywords": {key: pack(item) for key, item in keywords.items()},
        })
        reply = receive(channel)
        try:
            if "value" in reply:
                for own, after in zip(arguments, reply["arguments"]):
                    take_over(own, unpack(after))
                return unpack(reply["value"])
            if "notPlain" in reply:
                raise CandidateFailed("failed", "returned a %s; only plain data counts" % str(reply["notPlain"])[:100])
            raise CandidateFailed(*status_of_exception(str(reply["raised"])[:100], str(reply["message"])[:500]))
        except (TypeError, ValueError, KeyError, AttributeError, RecursionError) as error:
            raise CandidateFailed("error", "protocol: " + describe(error))

    call.__name__ = name
    return call


def take_over(own, after):
    """Tests may look at arguments that the call has changed."""
    if type(own) is not type(after):
        return
    if type(own) is list:
        own[:] = after
    elif type(own) in (dict, set):
        own.clear()
        own.update(after)


# --- the launcher --------------------------------------------------------------------------------------------------


def start_zygote(body):
    ours, theirs = socket.socketpair()
    if os.fork() == 0:
        ours.close()
        null = os.open("/dev/null", os.O_RDWR)
        for target in (0, 1, 2):
            os.dup2(null, target)  # neither may read jobs from Node nor answer it
        try:
            body(theirs)
        except EOFError:
            os._exit(0)
    theirs.close()
    return ours


def run_job(candidates, referees, job):
    limits = job["limits"]
    candidate_calls, referee_calls = socket.socketpair()
    candidate_control, candidate_end = socket.socketpair()
    referee_control, referee_end = socket.socketpair()
    output, output_end = os.pipe()
    started = time.monotonic()
    send_job(candidates, {"candidate": job["candidate"], "limits": limits}, [candidate_calls.fileno(), candidate_end.fileno(), output_end])
    send_job(referees, {"checks": job["checks"], "entryPoints": job["entryPoints"]}, [referee_calls.fileno(), referee_end.fileno()])
    for channel in (candidate_calls, referee_calls, candidate_end, referee_end):
        channel.close()
    os.close(output_end)
    try:
        return watch(limits, started, candidate_control, referee_control, output)
    finally:
        candidate_control.close()
        referee_control.close()
        os.close(output)


def watch(limits, started, candidate_control, referee_control, output):
    first = receive(candidate_control)
    referee_pid = receive(referee_control)["pid"]
    if "fault" in first:
        kill(referee_pid)
        return {"fault": first["fault"]}
    deadline = started + limits["wallMs"] / 1000
    written, found, forced = 0, None, None
    reading = [referee_control, output]
    while found is None and forced is None:
        ready, _, _ = select.select(reading, [], [], max(0, deadline - time.monotonic()))
        if referee_control in ready:
            found = receive(referee_control)
        elif output in ready:
            part = os.read(output, 1 << 16)
            written += len(part)
            if not part:
                reading = [referee_control]
            if written > limits["outputBytes"]:
                forced = ("output-limit", "wrote more than %d bytes" % limits["outputBytes"])
        elif not ready:
            forced = ("timeout", "wall clock: %d ms" % limits["wallMs"])
    kill(first["pid"])  # the first process of its namespace: everything in there dies with it
    if found is None:
        kill(referee_pid)
    ended = receive(candidate_control)
    if forced is not None:
        found = verdict(forced[0], forced[1], 0, 0)
    elif "died" in found:
        found = verdict(*status_of_end(ended["status"]), found["passed"], found["total"])
    return {**found, "wallMs": (time.monotonic() - started) * 1000, "cpuMs": ended["cpuMs"]}


def status_of_end(status):
    if os.WIFEXITED(status):
        return "crashed", "exited with code %d" % os.WEXITSTATUS(status)
    number = os.WTERMSIG(status)
    if number in (signal.SIGXCPU, signal.SIGKILL):  # nobody else has killed it yet
        return "timeout", "processor time"
    return "crashed", signal.Signals(number).name


def kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def main():
    sys.path = [entry for entry in sys.path if entry]
    candidates, referees = start_zygote(candidate_zygote), start_zygote(referee_zygote)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    print(json.dumps({"ready": sys.version.split()[0]}), flush=True)
    for line in sys.stdin:
        print(json.dumps(run_job(candidates, referees, json.loads(line))), flush=True)


main()
