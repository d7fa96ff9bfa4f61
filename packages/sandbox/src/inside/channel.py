"""Messages between the processes of one sandbox: a 4-byte length, then JSON. Descriptors travel beside a single byte."""

import array
import json
import os
import socket
import struct

LARGEST_MESSAGE = 64 << 20


class ProtocolError(Exception):
    """The other side talks nonsense."""


def send(channel, value):
    body = json.dumps(value).encode()
    if len(body) > LARGEST_MESSAGE:
        raise ProtocolError("a message of %d bytes" % len(body))
    channel.sendall(struct.pack("<I", len(body)) + body)


def receive(channel):
    """Next message; EOFError when the other side is gone."""
    (length,) = struct.unpack("<I", receive_bytes(channel, 4))
    if length > LARGEST_MESSAGE:
        raise ProtocolError("a message of %d bytes" % length)
    try:
        return json.loads(receive_bytes(channel, length))
    except (ValueError, RecursionError) as error:
        raise ProtocolError("a message that is not JSON") from error


def receive_bytes(channel, length):
    parts = []
    while length > 0:
        part = channel.recv(min(length, 1 << 16))
        if not part:
            raise EOFError
        parts.append(part)
        length -= len(part)
    return b"".join(parts)


def send_descriptors(channel, descriptors):
    channel.sendmsg([b"d"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))])


def receive_descriptors(channel, count):
    data, ancillary, _, _ = channel.recvmsg(1, socket.CMSG_LEN(count * 4))
    if not data:
        raise EOFError
    descriptors = array.array("i")
    descriptors.frombytes(ancillary[0][2][: count * 4])
    return list(descriptors)


def written(value):
    """A descriptor from which another process can `read_back` the value; nobody between them has to hold it."""
    descriptor = os.memfd_create("job")
    with os.fdopen(os.dup(descriptor), "w") as file:
        json.dump(value, file)
    return descriptor


def read_back(descriptor):
    with os.fdopen(descriptor) as file:
        file.seek(0)
        return json.load(file)
