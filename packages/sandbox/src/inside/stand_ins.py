"""What tests hold in place of the program's functions, classes and objects.

A test may call what it names and what it was given, read and set attributes, and ask an iterator for its next item. It
may call a method with arguments only on an object that it has made itself (by calling one of the job's `classes`): in
`assert f(x).issubset(expected)` an answer with an `issubset` of its own would otherwise learn what is expected and
decide the test. Operators stay here: a stand-in equals nothing but itself.
"""

import collections
import contextlib
import sys

from .channel import ProtocolError, receive, send
from .plain_data import MUTABLE, pack, unpack


class CheckEnded(BaseException):
    """The check cannot pass any more, whatever it catches: carries status and cause of the verdict, or ENDED_ITSELF."""


class ChecksInvalid(BaseException):
    """The checks are at fault, not the program."""


# The launcher knows why: it hears from the cell how the process ended.
ENDED_ITSELF = CheckEnded(None, None)

Link = collections.namedtuple("Link", "candidate reference class_name is_made_here takes_arguments makes_objects", defaults=(False, True, False))


class StandIn:
    """For an object that is not plain data."""

    __slots__ = ("_link",)

    def __init__(self, link):
        object.__setattr__(self, "_link", link)

    def __repr__(self):
        return "<%s of the program>" % self._link.class_name

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return self._link.candidate.get(self._link, name)

    def __setattr__(self, name, value):
        self._link.candidate.set(self._link, name, value)


class CallableStandIn(StandIn):
    __slots__ = ()

    def __call__(self, *arguments, **keywords):
        return self._link.candidate.call(self._link, arguments, keywords)


class IteratorStandIn(StandIn):
    __slots__ = ()

    def __iter__(self):
        return self

    def __next__(self):
        return self._link.candidate.next(self._link)


KINDS = {"object": StandIn, "callable": CallableStandIn, "iterator": IteratorStandIn}


class Candidate:
    """The referee's end of the calls."""

    def __init__(self, channel, classes):
        self.channel = channel
        self.classes = classes
        self.stand_ins = {}
        self.requests = 0
        self.start_check()

    def start_check(self):
        self.ended = None  # why the check cannot pass any more
        self.given = []  # class names of the stand-ins it got

    def load(self):
        """Waits until the program is loaded; raises CheckEnded when it cannot be."""
        reply = self.receive()
        with self.at_its_word():
            if "syntax" in reply:
                self.end(CheckEnded("syntax", str(reply["syntax"])[:500]))
            if "raised" in reply:
                self.end(CheckEnded(*reason_of_reply(reply)))

    def named(self, name):
        return CallableStandIn(Link(self, name, name, makes_objects=name in self.classes))

    def call(self, link, arguments, keywords):
        if (arguments or keywords) and not link.takes_arguments:
            self.end(CheckEnded("failed", "a test passes arguments to a method of an object that the program returned; only plain data takes them"))
        reply = self.ask("call", link, arguments=self.pack(list(arguments)), keywords={name: self.pack(item) for name, item in keywords.items()})
        with self.at_its_word():
            for own, after in zip(arguments, reply["arguments"]):
                if isinstance(own, MUTABLE):
                    take_over(own, self.unpack(after))
        return self.value_of(reply, is_made_here=link.makes_objects)

    def get(self, link, name):
        reply = self.ask("get", link, name=name)
        return self.value_of(reply, is_made_here=link.is_made_here, takes_arguments=link.is_made_here)

    def set(self, link, name, value):
        self.ask("set", link, name=name, value=self.pack(value))

    def next(self, link):
        reply = self.ask("next", link)
        if "end" in reply:
            raise StopIteration
        return self.value_of(reply)

    # --- messages ------------------------------------------------------------------------------------------------

    def ask(self, what, link, **details):
        self.requests += 1
        try:
            send(self.channel, {"do": what, "of": link.reference, **details})
        except ProtocolError as error:
            is_first = self.requests == 1  # later ones may be large because of what the program has answered
            self.end(ChecksInvalid("they send %s" % error) if is_first else CheckEnded("memory", "an argument too large to send: %s" % error))
        except OSError:
            self.end(ENDED_ITSELF)
        reply = self.receive()
        if "raised" in reply:
            self.raise_here(reply)
        return reply

    def receive(self):
        with self.at_its_word():
            try:
                reply = receive(self.channel)
            except (EOFError, OSError):
                self.end(ENDED_ITSELF)
            if not isinstance(reply, dict):
                raise ProtocolError("a reply of type " + type(reply).__name__)
            return reply

    def raise_here(self, reply):
        """Raises what the program raised, so that tests can expect it; the nearest class that the program did not make."""
        with self.at_its_word():
            status, cause = reason_of_reply(reply)
            kind = next(filter(None, (known_exception(module, name) for module, name in reply["classes"])), None)
            if kind is None:
                self.end(CheckEnded(status, cause))
            error = exception_of(kind, self.unpack(reply["arguments"]))
        error.from_candidate = status, cause
        raise error

    def value_of(self, reply, is_made_here=False, takes_arguments=True):
        def stand_in(number, kind, class_name):
            self.given.append(str(class_name)[:100])
            # What an attribute gave is kept apart from the same object given directly: it takes other calls.
            key = number, is_made_here, takes_arguments
            if key not in self.stand_ins:
                self.stand_ins[key] = KINDS[kind](Link(self, number, self.given[-1], is_made_here, takes_arguments))
            return self.stand_ins[key]

        with self.at_its_word():
            return unpack(reply["value"], stand_in)

    def unpack(self, packed):
        return self.value_of({"value": packed})

    def pack(self, value):
        return pack(value, self.refer)

    def refer(self, value):
        if isinstance(value, StandIn):
            return {"handle": [value._link.reference]}
        self.end(ChecksInvalid("they pass a %s to the program, which is not plain data" % type(value).__name__))

    # --- ends ----------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def at_its_word(self):
        """Nonsense in a reply ends the check."""
        try:
            yield
        except MemoryError:
            self.end(CheckEnded("memory", "an answer too large for the tests"))
        except Exception as error:
            self.end(CheckEnded("error", "an answer that is not data: %s" % str(error)[:200]))

    def end(self, reason):
        self.ended = self.ended or reason
        raise reason


def take_over(own, after):
    """Tests may look at arguments that the call has changed."""
    if type(after) is not type(own):
        return
    if isinstance(own, (list, bytearray)):
        own[:] = after
    else:
        own.clear()
        (own.extend if isinstance(own, collections.deque) else own.update)(after)


def reason_of_reply(reply):
    name, message = str(reply["raised"])[:100], str(reply["message"])[:500]
    return ("memory" if name == "MemoryError" else "error"), "%s: %s" % (name, message)


def exception_of(kind, arguments):
    try:
        return kind(*arguments)
    except Exception:  # its class wants others, as the program's own subclass gave it
        error = kind.__new__(kind)
        error.args = tuple(arguments)
        return error


def known_exception(module, name):
    """An exception class of Python's own, unless raising it here would steer the tests: end a loop or skip a test."""
    if module not in sys.modules or module.split(".")[0] not in sys.stdlib_module_names - {"unittest", "doctest", "bdb"}:
        return None
    kind = getattr(sys.modules[module], name, None)
    if not isinstance(kind, type) or not issubclass(kind, (Exception, SystemExit)):
        return None
    return None if issubclass(kind, (StopIteration, StopAsyncIteration)) else kind
