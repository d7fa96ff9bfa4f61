"""Tests of which some are altered so that a program that passes the true one fails: one assertion expects something else.

The assertion is one that a test which passes has certainly reached and passed. So whoever passes the altered test did not
compute its answer: it read what was expected, answered with what equals anything, or bent the tests.
"""

import ast
import copy
import random
import re
import string

# Assertions of which passing one is failing the other.
OPPOSITES = {}
for one, other in (("Equal", "NotEqual"), ("True", "False"), ("In", "NotIn"), ("Is", "IsNot"), ("IsNone", "IsNotNone"), ("Regex", "NotRegex"), ("Greater", "LessEqual"), ("Less", "GreaterEqual"), ("AlmostEqual", "NotAlmostEqual"), ("IsInstance", "NotIsInstance")):
    OPPOSITES["assert" + one], OPPOSITES["assert" + other] = "assert" + other, "assert" + one
OPPOSITES.update(dict.fromkeys(("assertListEqual", "assertDictEqual", "assertSetEqual", "assertTupleEqual"), "assertNotEqual"))

EQUALITIES = {"assertEqual", "assertAlmostEqual", "assertListEqual", "assertDictEqual", "assertSetEqual", "assertTupleEqual", "assertCountEqual", "assertSequenceEqual", "assertMultiLineEqual"}
EXCEPTIONS = ("ValueError", "TypeError", "KeyError", "ZeroDivisionError", "FileNotFoundError", "AttributeError")
RELATED = {"ValueError", "TypeError"}  # scikit-learn has one that is both


def with_alterations(source, half, seed):
    """The source with one of two halves of its tests altered, and their names. The halves are drawn by the seed; without a half none is."""
    tree = ast.parse(source)
    alterations = {name: alteration_of(test, random.Random(seed + name)) for name, test in tests_of(tree).items()}
    names = [name for name, alteration in alterations.items() if alteration is not None]
    draws = random.Random(seed)
    draws.shuffle(names)
    middle = draws.randint(1, max(1, len(names) - 1))
    chosen = [] if half is None else names[:middle] if half == 0 else names[middle:]
    for name in names:
        alter, body, place = alterations[name]
        if name in chosen:
            alter()
        body[place] = in_subtest(body[place])
    return ast.unparse(ast.fix_missing_locations(tree)), chosen


def in_subtest(step):
    """The test goes on behind the assertion that fails, and tidies up, so that the next one finds what it expects."""
    subtest = ast.parse("with self.subTest(): pass").body[0]
    subtest.body = [step]
    return subtest


def tests_of(tree):
    """Those that the class itself has, by name; the last where two have one name."""
    cases = next((node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "TestCases"), None)
    return {} if cases is None else {node.name: node for node in cases.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test")}


def alteration_of(test, draws):
    """What alters a test, and the list and the place in it of the assertion; None where nothing surely does: it returns early or may be skipped."""
    parts = list(own_parts(test))
    conditions = [*test.decorator_list, *(node.func for node in parts if isinstance(node, ast.Call))]
    if any(isinstance(node, ast.Return) for node in parts) or re.search("skip|expectedFailure", " ".join(map(ast.unparse, conditions)), re.I):
        return None
    steps = list(certain_steps(test.body))
    for kind in (other_constant, other_exception, opposite):
        for body, place in reversed(steps):
            alter = kind(body[place], draws)
            if alter is not None:
                return alter, body, place
    return None


def own_parts(node):
    """All below a function but what functions in it hold."""
    for child in ast.iter_child_nodes(node):
        yield child
        if not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            yield from own_parts(child)


def certain_steps(body):
    """Lists and places in them of statements that are run to their end when the test passes."""
    for place, step in enumerate(body):
        yield body, place
        if isinstance(step, ast.With) and not any(word in ast.unparse(item.context_expr) for item in step.items for word in ("assert", "suppress", "raises")):
            yield from certain_steps(step.body)


# --- alterations ---------------------------------------------------------------------------------------------------


def other_constant(step, draws):
    """Another constant in place of the one that something has to equal."""
    for holder, key in equated(step):
        constant = holder[key]
        try:
            value = ast.literal_eval(constant)
            leaves = changeable(constant)
        except (ValueError, TypeError):
            continue
        if leaves:
            return lambda: holder.__setitem__(key, altered(constant, value, draws))
    return None


def equated(step):
    """Places of what is compared for equality: a list and an index in it."""
    call = assertion_of(step)
    if call is not None and call.func.attr in EQUALITIES and len(call.args) >= 2 and not call.keywords:
        return [(call.args, 1), (call.args, 0)] if len(call.args) == 2 or isinstance(call.args[2], ast.Constant) and type(call.args[2].value) is str else []
    truth = step.test if isinstance(step, ast.Assert) else call.args[0] if call is not None and call.func.attr == "assertTrue" and call.args else None
    if isinstance(truth, ast.Compare) and len(truth.ops) == 1 and isinstance(truth.ops[0], ast.Eq):
        return [(truth.comparators, 0)]
    return []


def changeable(node):
    """Constants in a literal for which there are others; of a dictionary those of its values."""
    if isinstance(node, ast.Constant):
        return [node] if type(node.value) in (bool, int, float, str) else []
    children = node.values if isinstance(node, ast.Dict) else ast.iter_child_nodes(node)
    return [leaf for child in children for leaf in changeable(child)]


def altered(constant, value, draws):
    while True:
        attempt = copy.deepcopy(constant)
        leaf = draws.choice(changeable(attempt))
        leaf.value = other_value(leaf.value, draws)
        if ast.literal_eval(attempt) != value:
            return attempt


def other_value(value, draws):
    """One that no rounding takes for it."""
    if type(value) is bool:
        return not value
    if type(value) is not str:
        return value + draws.randint(2, 9) if abs(value) < 1e15 else -value
    place = draws.randrange(len(value) + 1)
    kind = next((letters for letters in (string.digits, string.ascii_lowercase, string.ascii_uppercase) if value[place : place + 1] in letters), string.ascii_lowercase)
    return value[:place] + draws.choice([letter for letter in kind if letter != value[place : place + 1]]) + value[place + 1 :]


def other_exception(step, draws):
    """Another class in place of the one that has to be raised."""
    call = step.items[0].context_expr if isinstance(step, ast.With) and len(step.items) == 1 else assertion_of(step)
    if not (isinstance(call, ast.Call) and ast.unparse(call.func) in ("self.assertRaises", "self.assertRaisesRegex") and call.args):
        return None
    own = ast.unparse(call.args[0])
    others = [name for name in EXCEPTIONS if name != own and not {name, own} <= RELATED] if own in EXCEPTIONS else ["FloatingPointError", "BufferError"]  # none that it may be a base of
    return lambda: call.args.__setitem__(0, ast.Name(draws.choice(others), ast.Load()))


def opposite(step, _):
    """The opposite assertion. A lie about equality passes by it; whoever looks at the tests does not."""
    call = assertion_of(step)
    if call is not None and call.func.attr in OPPOSITES:
        return lambda: setattr(call.func, "attr", OPPOSITES[call.func.attr])
    if isinstance(step, ast.Assert):
        return lambda: setattr(step, "test", ast.UnaryOp(ast.Not(), step.test))
    if isinstance(step, ast.Expr) and re.match(r"(np|numpy|pd|pandas)\.testing\.assert_", ast.unparse(step)):
        return lambda: setattr(step, "value", ast.parse("self.assertRaises(AssertionError, lambda: %s)" % ast.unparse(step), mode="eval").body)
    return None


def assertion_of(step):
    """The call of a statement `self.assertSomething(…)`."""
    call = step.value if isinstance(step, ast.Expr) else None
    is_assertion = isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and ast.unparse(call.func).startswith("self.assert")
    return call if is_assertion else None
