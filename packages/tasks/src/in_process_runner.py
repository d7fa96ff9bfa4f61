"""The program's side of tests that exchange objects with it: they run here, in its process. in_process_referee.py orders
them and makes the verdict.

The program shares this process and may bend all of it, this module too. What is done here stops programs that are not
written against this very file: an audit hook keeps them from looking at the tests. The referee's altered tests and decoys
show up those that look all the same, that bend `unittest` or that answer in its place.
"""

import _thread
import functools
import secrets
import sys
import types
import unittest

MODULE = types.ModuleType("__test__")
sys.modules["__test__"] = MODULE

# What an object needs to pass as another one.
PASSING = ("__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__", "__sub__", "__rsub__", "__abs__", "__round__", "__contains__", "__len__", "__bool__", "__class__")
MOST_ITEMS = 10_000
objections = []


def load(program, entry_point):
    sys.addaudithook(keep_out)
    exec(compile(program, "program", "exec"), MODULE.__dict__)
    function = MODULE.__dict__.get(entry_point)
    if isinstance(function, types.FunctionType):
        MODULE.__dict__[entry_point] = watched(function)


def run_tests(source, nonce):
    """The nonce, an outcome and words for each test by name, and what is wrong with the answers themselves."""
    exec(compile(source, "test", "exec"), MODULE.__dict__)
    result = Outcomes()
    unittest.defaultTestLoader.loadTestsFromTestCase(MODULE.__dict__["TestCases"]).run(result)
    return nonce, result.by_test, objections


class Outcomes(unittest.TestResult):
    def __init__(self):
        super().__init__()
        self.by_test = {}

    def note(self, test, outcome, words=""):
        name = test.id().split(".")[-1]
        if self.by_test.get(name, ("passed",))[0] == "passed":  # a subtest that fails is not undone by those that pass
            self.by_test[name] = (outcome, words)

    def addSuccess(self, test):
        self.note(test, "passed")

    def addSkip(self, test, reason):
        self.note(test, "skipped", str(reason))

    def addExpectedFailure(self, test, error):
        self.note(test, "passed")

    def addUnexpectedSuccess(self, test):
        self.note(test, "failed", "passed, though it was expected to fail")

    def addFailure(self, test, error):
        self.note(test, "failed", words_of(error))

    addError = addFailure

    def addSubTest(self, test, subtest, error):
        if error is not None:
            self.note(test, "failed", words_of(error))


def words_of(error):
    kind, value, _ = error
    return ("%s: %s" % (kind.__name__, value)).splitlines()[0][:500]


# --- what the program may not look at ------------------------------------------------------------------------------

# Ways to frames and objects that hold the tests, by the events that they raise; of attributes, the names.
SPYING = {"sys._getframe", "sys._current_frames", "sys.settrace", "sys.setprofile", "gc.get_objects", "gc.get_referrers", "gc.get_referents"}
SPYING |= {"ctypes.string_at", "ctypes.wstring_at", "ctypes.cdata", "ctypes.PyObj_FromPtr"}
FRAMES = {"tb_frame", "gi_frame", "cr_frame", "ag_frame"}
LIBRARIES = ("/usr/", "/packages/", "/sandbox/", "<frozen ")
AT_WORK = set()  # threads that are in the hook, which raises such an event itself


def keep_out(event, arguments):
    if event == "object.__getattr__":
        holder, name = arguments
        if not (name in FRAMES or name == "__code__" and is_test(holder)):
            return
    elif event not in SPYING:
        return
    thread = _thread.get_ident()
    if thread in AT_WORK:
        return
    AT_WORK.add(thread)
    try:
        if is_of_program(sys._getframe(1), event):
            raise PermissionError("the program looks at what calls it (%s)" % event)
    finally:
        AT_WORK.discard(thread)


def is_of_program(frame, event):
    """Whether the program asks, itself or through a library that hands on what it is asked for."""
    while frame is not None and hands_on(frame.f_code, event):
        frame = frame.f_back
    # Libraries look too, for warnings and logs. They lie in files; what `exec` makes, has another name.
    return frame is not None and not frame.f_code.co_filename.startswith(LIBRARIES)


def hands_on(code, event):
    name = code.co_filename.rpartition("/")[2] if code.co_filename.startswith(LIBRARIES) else ""
    if name == "__init__.py":
        return code.co_filename.endswith("/logging/__init__.py") and code.co_name in ("<lambda>", "currentframe")
    return name in ("inspect.py", "bdb.py", "pdb.py") or name == "traceback.py" and event == "sys._getframe"


def is_test(function):
    name = getattr(function, "__qualname__", "")
    return getattr(function, "__module__", "") == MODULE.__name__ and name.startswith("TestCases.") and "<locals>" not in name


# --- answers -------------------------------------------------------------------------------------------------------


def watched(function):
    @functools.wraps(function)
    def answer(*arguments, **keywords):
        value = function(*arguments, **keywords)
        objections.extend(filter(None, map(objection_to, items_of(value))))
        return value

    return answer


def items_of(value):
    """The value itself and what plain containers in it hold."""
    waiting = [value]
    for _ in range(MOST_ITEMS):
        if not waiting:
            return
        item = waiting.pop()
        yield item
        if type(item) is dict:
            waiting.extend(item.keys())
            waiting.extend(item.values())
        elif type(item) in (list, tuple, set, frozenset):
            waiting.extend(item)


PLAIN = {type(None), bool, int, float, complex, str, bytes, list, tuple, set, frozenset, dict}


def objection_to(item):
    kind = type(item)
    if kind in PLAIN:
        return None
    own = next((name for name in PASSING if is_own(kind, name)), None)
    if own is not None:
        return "an answer whose %s is the program's own" % own
    for other in (object(), secrets.randbits(60), secrets.token_hex(8), secrets.randbits(60) / 7):
        try:
            if item == other:
                return "an answer that equals anything"
        except Exception:
            pass
    return None


def is_own(kind, name):
    """Whether a class has a member that the program has written."""
    for base in kind.__mro__:
        if name in vars(base):
            member = vars(base)[name]
            code = getattr(member, "__code__", None)
            if code is None:
                return base.__module__ == "__test__"
            return code.co_filename == "program" or (not code.co_filename.startswith("/") and base.__module__ == "__test__")
    return False
