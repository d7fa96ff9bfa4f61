"""The candidate's side: runs a program, then answers requests about it. It is never told what is expected of an answer.

Requests and replies are described in referee.py. The program shares this process and may bend all of it; what it can
gain by that is to send other plain data.
"""

import collections.abc
import json
import os
import socket
import sys
import types

from .channel import ProtocolError, receive, send
from .plain_data import MUTABLE, pack, unpack

LARGEST_EXCEPTION = 10_000  # characters of arguments


def run_candidate(job, calls, output):
    for target in (1, 2):
        os.dup2(output, target)
    os.close(output)
    channel = socket.socket(fileno=calls)
    module = types.ModuleType("candidate")
    sys.modules["candidate"] = module
    try:
        program = compile(job["candidate"], "candidate", "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError) as error:
        return send(channel, {"syntax": describe(error)})
    try:
        exec(program, module.__dict__)
    except BaseException as error:
        return send(channel, describe_exception(error))
    send(channel, {"value": None})
    objects = Objects(module)
    while True:
        try:
            request = receive(channel)
        except EOFError:
            return
        try:
            send(channel, objects.answer(request))
        except ProtocolError as error:
            send(channel, {"raised": "MemoryError", "message": "the answer is too large: %s" % error})


class Objects:
    """The program's names, and those of its objects that the referee holds a stand-in for."""

    def __init__(self, module):
        self.names = module.__dict__
        self.held = []
        self.numbers = {}

    def answer(self, request):
        try:
            return getattr(self, request["do"])(request)
        except BaseException as error:
            return describe_exception(error)

    def call(self, request):
        arguments = [self.unpack(item) for item in request["arguments"]]
        keywords = {name: self.unpack(item) for name, item in request["keywords"].items()}
        value = self.find(request["of"])(*arguments, **keywords)
        changed = [self.pack(item) if isinstance(item, MUTABLE) else None for item in arguments]
        return {"value": self.pack(value), "arguments": changed}

    def get(self, request):
        return {"value": self.pack(getattr(self.find(request["of"]), request["name"]))}

    def set(self, request):
        setattr(self.find(request["of"]), request["name"], self.unpack(request["value"]))
        return {"value": None}

    def next(self, request):
        try:
            return {"value": self.pack(next(self.find(request["of"])))}
        except StopIteration:
            return {"end": True}

    def find(self, reference):
        if isinstance(reference, int):
            return self.held[reference]
        try:
            return self.names[reference]
        except KeyError:
            raise NameError("name %r is not defined" % reference) from None

    def pack(self, value):
        return pack(value, self.hold)

    def hold(self, value):
        number = self.numbers.get(id(value))
        if number is None:
            number = self.numbers[id(value)] = len(self.held)
            self.held.append(value)
        kind = "iterator" if isinstance(value, collections.abc.Iterator) else "callable" if callable(value) else "object"
        return {"handle": [number, kind, type(value).__name__]}

    def unpack(self, packed):
        return unpack(packed, self.find)


def describe_exception(error):
    """Name, words, and what a test needs to catch it: its classes from near to far, and its arguments if they are plain."""
    message = describe(error)
    classes = [[base.__module__, base.__qualname__] for base in type(error).__mro__]
    try:
        arguments = pack(list(error.args), refuse)
        if len(json.dumps(arguments)) > LARGEST_EXCEPTION:
            raise ValueError
    except BaseException:
        arguments = [message]
    return {"raised": type(error).__name__, "message": message, "classes": classes, "arguments": arguments}


def refuse(value):
    raise TypeError(type(value).__name__)


def describe(error):
    try:
        return str(error)[:500]
    except BaseException:  # an exception of the program's own may fail to print itself
        return ""
