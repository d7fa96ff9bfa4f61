"""Values that cross between candidate and referee.

What crosses is built anew from JSON, so that no code travels with it: a value cannot bring its own equality, length or
hash. An instance of a subclass crosses as what it holds (a named tuple as a tuple, an enumerated int as an int). Anything
else is up to `other`, which either answers for it with a stand-in or refuses.
"""

import collections
import datetime
import decimal
import fractions

MUTABLE = (list, dict, set, bytearray, collections.deque)
EXACT_INT = 1 << 53
TYPES = {kind.__name__: kind for kind in (object, bool, int, float, complex, str, bytes, list, tuple, set, frozenset, dict)}


def pack(value, other):
    kind = type(value)
    if value is None or kind is bool or kind is float:
        return value
    if kind not in PACK:
        kind = next((base for base in PACK if isinstance(value, base)), None)
    if kind is None or (kind is type and value not in TYPES.values()):
        return other(value)
    return PACK[kind](value, other)


def pack_int(value, _):
    value = int.__index__(value)
    return value if -EXACT_INT < value < EXACT_INT else {"int": hex(value)}


def pack_str(value, _):
    value = str.__str__(value)
    try:
        value.encode()
        return value
    except UnicodeEncodeError:  # JSON would join two lone surrogates
        return {"str": value.encode("utf-32", "surrogatepass").hex()}


def items_of(kind):
    return lambda value, other: {kind.__name__: [pack(item, other) for item in kind.__iter__(value)]}


def pairs_of(kind):
    return lambda value, other: {kind.__name__: [[pack(key, other), pack(item, other)] for key, item in kind.items(value)]}


def pack_default_dict(value, other):
    factory = next((name for name, kind in TYPES.items() if kind is value.default_factory), None)
    return {"defaultdict": [factory, pack(dict(value), other)]}


def pack_view(value, other):
    return {type(value).__name__: [pack(item, other) for item in value]}


DICT_KEYS, DICT_VALUES, DICT_ITEMS = type({}.keys()), type({}.values()), type({}.items())

# In this order instances of subclasses look for their base.
PACK = {
    int: pack_int,
    float: lambda value, _: float.__float__(value),
    str: pack_str,
    list: lambda value, other: [pack(item, other) for item in list.__iter__(value)],
    tuple: items_of(tuple),
    set: items_of(set),
    frozenset: items_of(frozenset),
    collections.OrderedDict: pairs_of(collections.OrderedDict),
    collections.Counter: pairs_of(collections.Counter),
    collections.defaultdict: pack_default_dict,
    dict: pairs_of(dict),
    complex: lambda value, _: {"complex": [value.real.hex(), value.imag.hex()]},
    bytes: lambda value, _: {"bytes": value.hex()},
    bytearray: lambda value, _: {"bytearray": value.hex()},
    range: lambda value, other: {"range": [pack(part, other) for part in (value.start, value.stop, value.step)]},
    collections.deque: lambda value, other: {"deque": [value.maxlen, [pack(item, other) for item in value]]},
    fractions.Fraction: lambda value, _: {"Fraction": [hex(value.numerator), hex(value.denominator)]},
    decimal.Decimal: lambda value, _: {"Decimal": str(value)},
    datetime.datetime: lambda value, _: {"datetime": value.isoformat()},
    datetime.date: lambda value, _: {"date": value.isoformat()},
    datetime.time: lambda value, _: {"time": value.isoformat()},
    datetime.timedelta: lambda value, _: {"timedelta": [value.days, value.seconds, value.microseconds]},
    type: lambda value, _: {"type": value.__name__},
    DICT_KEYS: pack_view,
    DICT_VALUES: pack_view,
    DICT_ITEMS: pack_view,
}


def unpack(packed, handle):
    """The value again; `handle(*content)` gives what {"handle": content} stands for."""
    if packed is None or isinstance(packed, (bool, int, float, str)):
        return packed
    if isinstance(packed, list):
        return [unpack(item, handle) for item in packed]
    ((kind, content),) = packed.items()
    return handle(*content) if kind == "handle" else UNPACK[kind](content, lambda item: unpack(item, handle))


def each(build):
    return lambda items, unpack: build([unpack(item) for item in items])


def pairs(build):
    return lambda items, unpack: build({unpack(key): unpack(item) for key, item in items})


def unpack_default_dict(content, unpack):
    factory, items = content
    return collections.defaultdict(None if factory is None else TYPES[factory], unpack(items))


UNPACK = {
    "int": lambda text, _: int(text, 16),
    "str": lambda text, _: bytes.fromhex(text).decode("utf-32", "surrogatepass"),
    "tuple": each(tuple),
    "set": each(set),
    "frozenset": each(frozenset),
    "OrderedDict": pairs(collections.OrderedDict),
    "Counter": pairs(collections.Counter),
    "defaultdict": unpack_default_dict,
    "dict": pairs(dict),
    "complex": lambda parts, _: complex(float.fromhex(parts[0]), float.fromhex(parts[1])),
    "bytes": lambda text, _: bytes.fromhex(text),
    "bytearray": lambda text, _: bytearray.fromhex(text),
    "range": lambda parts, unpack: range(*map(unpack, parts)),
    "deque": lambda parts, unpack: collections.deque(map(unpack, parts[1]), parts[0]),
    "Fraction": lambda parts, _: fractions.Fraction(int(parts[0], 16), int(parts[1], 16)),
    "Decimal": lambda text, _: decimal.Decimal(text),
    "datetime": lambda text, _: datetime.datetime.fromisoformat(text),
    "date": lambda text, _: datetime.date.fromisoformat(text),
    "time": lambda text, _: datetime.time.fromisoformat(text),
    "timedelta": lambda parts, _: datetime.timedelta(*parts),
    "type": lambda name, _: TYPES[name],
    "dict_keys": each(lambda items: dict.fromkeys(items).keys()),
    "dict_values": each(lambda items: dict(enumerate(items)).values()),
    "dict_items": each(lambda items: dict(items).items()),
}
