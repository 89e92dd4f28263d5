"""Keys: typed, equal for equal values, in every process, and refused at once where there is none."""

import dataclasses
import datetime as dt
import enum
import functools
import math
import operator
import os
import pickle
import re
import socket
import subprocess
import sys
import uuid
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from decimal import Decimal
from fractions import Fraction
from ipaddress import ip_address, ip_network
from itertools import combinations
from pathlib import Path, PurePosixPath, PureWindowsPath
from types import MappingProxyType
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cacheops_core.errors import KeyingError
from cacheops_core.keys import call_key, function_key, register, stable_key

Place = namedtuple("Place", "x y")
BERLIN, LONDON = ZoneInfo("Europe/Berlin"), ZoneInfo("Europe/London")
HOUR = dt.timedelta(hours=1)
NOON = dt.datetime(2024, 6, 1, 12, tzinfo=dt.UTC)


class Colour(enum.Enum):
    RED = 1
    GREEN = object()


class Size(enum.IntEnum):
    RED = 1


class Access(enum.Flag):
    READ = 1
    WRITE = 2


@dataclasses.dataclass
class Point:
    x: object
    y: object = 0
    seen: object = dataclasses.field(default=None, compare=False)


@dataclasses.dataclass
class Pixel(Point):
    pass


class Name(str):
    __slots__ = ("origin",)


class Bag(dict):
    pass


class Slotted(tuple):
    __slots__ = ()


class Customer:
    def __init__(self, number):
        self.number = number

    def __cache_key__(self):
        return self.number

    def orders(self, year=2024):
        return self.number, year

    @classmethod
    def all(cls):
        return []

    @staticmethod
    def count():
        return 0


class Employee(Customer):
    pass


class Opaque:
    def method(self, a):
        return a


def named(a, b=2, *rest, key="k", **others):
    return a, b, rest, key, others


def with_attribute(value, **attributes):
    for name, attribute in attributes.items():
        setattr(value, name, attribute)
    return value


DIFFERENT = [
    *(None, True, False, 0, 1, -1, 255, -255, 1.0, 0.0, -0.0, math.inf, math.nan, 1j),
    *(Decimal(1), Decimal("1.0"), Fraction(1), 10**5000, 10**5000 + 1, ..., "", "1", "None", b"", b"1"),
    *("\ud800", "\ud83d\ude00", "😀", bytearray(b"1"), memoryview(b"1")),
    *((), [], {}, set(), frozenset(), (1,), [1], {1}, frozenset({1}), {1: 1}),
    *((1, 2), (2, 1), (1, (2,)), ((1, 2),), ("ab", "c"), ("a", "bc"), {"a": 1, "b": 2}, {"a": 2, "b": 1}),
    *({(1, 2)}, {1, 2}, {"1", "2"}, {frozenset({1})}, range(3), range(0, 4, 2), slice(3), slice(None, 3, 1)),
    *(Place(1, 2), namedtuple("Place", "x z")(1, 2), Point(1, 2), Pixel(1, 2), Point(2, 1), Slotted((1, 2))),
    *(Colour.RED, Colour.GREEN, Size.RED, Access.READ, Access.READ | Access.WRITE, Access(0)),
    *(Name("1"), with_attribute(Name("1"), origin="db"), Bag(), Bag(a=1), with_attribute(Bag(a=1), b=2)),
    *(OrderedDict(a=1, b=2), OrderedDict(b=2, a=1), Counter("ab"), defaultdict(int), defaultdict(list)),
    *(deque([1]), deque([1], 5), MappingProxyType({}), uuid.UUID(int=1), uuid.UUID(int=2)),
    *(NOON, NOON.astimezone(BERLIN), NOON.astimezone(LONDON), NOON.replace(tzinfo=None), NOON.date()),
    *(NOON.time(), NOON.timetz(), dt.time(12, tzinfo=BERLIN), NOON.replace(fold=1), BERLIN, LONDON),
    *(NOON.astimezone(dt.timezone(2 * HOUR)), dt.timezone(2 * HOUR), dt.timezone(2 * HOUR, "name"), dt.UTC),
    *(dt.timedelta(1), dt.timedelta(0, 1), dt.timedelta(0, 0, 1), re.compile("a"), re.compile("a", re.I)),
    *(PurePosixPath("a"), PureWindowsPath("a"), Path("a"), Path("b")),
    *(ip_address("::1"), ip_address("127.0.0.1"), ip_network("10.0.0.0/8"), ip_network("10.0.0.0/9")),
    *(len, abs, "a".upper, "b".upper, str.upper, int.__add__, (1).__add__, dt.datetime.now, dict.fromkeys),
    *(int, str, type(None), Point, Pixel, Colour, list[int], list[str], int | None, math, operator),
    *(named, functools.partial(named, 1), functools.partial(named, 2), functools.partial(named, a=1)),
    *(operator.itemgetter(1), operator.itemgetter(2), operator.attrgetter("a")),
    *(Customer(1), Customer(2), Employee(1), Customer(1).orders, Customer(2).orders, Customer.orders),
    *(Customer.all, Employee.all, Customer.count, lambda: 1, lambda: 2, lambda a=1: a, lambda a=2: a),
    *(lambda *, a=1: a, lambda *, a=2: a, lambda: ValueError, lambda: TypeError),
]


def test_different_values_have_different_keys():
    keys = [stable_key(value) for value in DIFFERENT]
    assert not [
        (DIFFERENT[i], DIFFERENT[j]) for i, j in combinations(range(len(keys)), 2) if keys[i] == keys[j]
    ]


def test_the_parts_of_a_key_are_kept_apart():
    assert (
        len({stable_key(), stable_key(()), stable_key("a", "b"), stable_key("ab"), stable_key(("a", "b"))})
        == 5
    )


EQUAL = {
    "sets": ({"b", "a", "c"}, {"c", "a", "b"}),
    "dicts in another order": ({"a": 1, "b": {2, 3}}, {"b": {3, 2}, "a": 1}),
    "data classes": (Point(1, [2]), Point(1, [2])),
    "fields that do not count": (Point(1, 2, seen=1), Point(1, 2, seen=object())),
    "one member of an enum": (Colour.GREEN, Colour["GREEN"]),
    "flags": (Access.READ | Access.WRITE, Access.WRITE | Access.READ),
    "paths": (Path("a/./b"), Path("a/b")),
    "a shared part": ([[1]] * 2, [[1], [1]]),
    "named tuples of two drivers": (namedtuple("R", "x")(1), namedtuple("R", "x")(1)),
    "methods of equal objects": (Customer(1).orders, Customer(1).orders),
}


@pytest.mark.parametrize("one, other", EQUAL.values(), ids=EQUAL)
def test_equal_values_have_one_key(one, other):
    assert stable_key(one) == stable_key(other)


# -- properties ------------------------------------------------------------------------------------

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(max_size=3),
    st.binary(max_size=3),
    st.decimals(allow_nan=False, allow_infinity=False),
    st.datetimes(timezones=st.none() | st.timezones()),
    st.uuids(),
    st.sampled_from([*Colour, *Size, *Access]),
)
HASHABLE = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.frozensets(inner, max_size=3),
    max_leaves=5,
)


def nested(inner):
    return st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.sets(HASHABLE, max_size=3),
        st.dictionaries(HASHABLE, inner, max_size=3),
        st.builds(Point, inner, inner),
        st.builds(Place, inner, inner),
    )


VALUES = st.recursive(HASHABLE, nested, max_leaves=8)


def canonical(value):
    """Return a text that two values share only if they are equal and of equal types: slow and plain."""
    kind = type(value).__name__
    if isinstance(value, list | tuple):
        return f"{kind}({', '.join(map(canonical, value))})"
    if isinstance(value, set | frozenset):
        return f"{kind}({', '.join(sorted(map(canonical, value)))})"
    if isinstance(value, dict):
        return f"{kind}({sorted((canonical(key), canonical(item)) for key, item in value.items())})"
    if isinstance(value, Point):
        return f"{kind}({canonical(value.x)}, {canonical(value.y)})"
    return f"{kind}({value!r})"


@settings(deadline=None)
@given(VALUES, VALUES)
def test_keys_are_equal_exactly_if_values_are(one, other):
    assert (stable_key(one) == stable_key(other)) is (canonical(one) == canonical(other))


@settings(deadline=None)
@given(st.lists(st.text("ab", max_size=2), max_size=3), st.lists(st.text("ab", max_size=2), max_size=3))
def test_no_way_to_cut_a_text_meets_another(one, other):
    assert (stable_key(*one) == stable_key(*other)) is (one == other)
    assert (stable_key(set(one)) == stable_key(set(other))) is (set(one) == set(other))


OTHER_PROCESS = """
import pickle, sys
sys.path[:] = pickle.load(sys.stdin.buffer)
from cacheops_core.keys import stable_key
while True:
    sys.stdout.buffer.write(stable_key(pickle.load(sys.stdin.buffer)))
    sys.stdout.buffer.flush()
"""


@pytest.fixture(scope="module", params=["0", "1", "4711"])
def key_in_other_process(request):
    """A function that has another process, with another seed for hashes, make the key of a value."""
    command = [sys.executable, "-c", OTHER_PROCESS]
    env = os.environ | {"PYTHONHASHSEED": request.param}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env) as process:

        def ask(value):
            pickle.dump(value, process.stdin)
            process.stdin.flush()
            return process.stdout.read(16)

        pickle.dump(sys.path, process.stdin)
        yield ask
        process.kill()


PICKLED = st.recursive(
    st.text(max_size=5) | st.integers() | st.timezones().map(NOON.astimezone) | st.uuids(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.frozensets(st.text(max_size=5) | st.integers(), max_size=6)
        | st.dictionaries(st.text(max_size=5) | st.uuids(), inner, max_size=4)
    ),
)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=PICKLED)
def test_a_key_is_the_same_in_every_process(key_in_other_process, value):
    assert key_in_other_process(value) == stable_key(value)


PROGRAM = """
import dataclasses, enum, functools
from cacheops_core.keys import call_key, function_key, stable_key

class Colour(enum.Enum):
    RED = "red"

@dataclasses.dataclass(frozen=True)
class Tag:
    names: frozenset

    def shown(self, sep=","):
        return sep.join(self.names)

def maker(tags):
    def inner(a, b=frozenset("xyz")):
        return inner(a) if a in {"p", "q", "r"} else tags
    return inner

tag = Tag(frozenset("abcdef"))
print(function_key(maker({tag, Tag(frozenset())})).hex())
print(function_key(lambda: {"p", "q"} & {"r", "s"}).hex())
print(function_key(Tag).hex(), function_key(tag.shown).hex())
print(call_key(functools.partial(maker, tags={Colour.RED, None})).hex())
print(stable_key(tag, {Colour.RED: {tag}}).hex())
"""


def test_functions_and_classes_of_a_program_keep_their_keys(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    outputs = {
        subprocess.check_output([sys.executable, program], env=env | {"PYTHONHASHSEED": seed})
        for seed in "0123"
    }
    assert len(outputs) == 1


def test_scripts_of_different_files_do_not_share_the_keys_of_main(tmp_path):
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    keys = set()
    for name in ("one.py", "two.py"):
        script = tmp_path / name
        script.write_text(
            "from cacheops_core.keys import function_key\ndef f(): ...\nprint(function_key(f).hex())"
        )
        keys.add(subprocess.check_output([sys.executable, script], env=env))
    assert len(keys) == 2


# -- functions -------------------------------------------------------------------------------------


def adder(amount):
    def add(value):
        return value + amount

    return add


def test_closures_are_told_apart_by_what_they_close_over():
    assert function_key(adder(1)) == function_key(adder(1))
    assert function_key(adder(1)) != function_key(adder(2))


def test_lambdas_are_told_apart_by_their_code_and_not_by_their_line():
    one = lambda value: value + 1  # noqa: E731
    same = lambda value: value + 1  # noqa: E731
    assert function_key(one) == function_key(same)
    assert function_key(one) != function_key(lambda value: value + 2)


def test_a_local_function_may_call_itself():
    def down(n):
        return down(n - 1) if n else 0

    def up(n):
        return up(n + 1) if n else 0

    assert function_key(down) != function_key(up)
    assert stable_key([down, up]) != stable_key([up, down])


def test_a_closure_that_is_not_filled_yet_has_a_key():
    def early():
        return late

    before = function_key(early)
    late = None
    assert function_key(early) != before


def logged(func):
    @functools.wraps(func)
    def wrapper(*args):
        return func(*args)

    return wrapper


def doubled(func):
    @functools.wraps(func)
    def wrapper(*args):
        return 2 * func(*args)

    return wrapper


@doubled
@logged
def price(a):
    return a


def test_wrappers_with_the_name_of_another_function_have_their_own_keys():
    inner = price.__wrapped__
    variants = [
        price,
        inner,
        inner.__wrapped__,
        logged(price),
        doubled(price),
        doubled(inner),
        logged(logged(price)),
    ]
    assert len({function_key(variant) for variant in variants}) == len(variants)


@functools.singledispatch
def show(value):
    return value


@show.register
def _(value: int):
    return -value


@show.register
def _(value: str):
    return value * 2


def test_functions_of_one_name_are_told_apart():
    assert function_key(show.dispatch(int)) != function_key(show.dispatch(str))


@functools.cache
def remembered():
    return 1


def test_decorated_objects_that_are_not_functions_are_known_by_name():
    assert function_key(show) != function_key(remembered)
    assert stable_key(show, remembered) == stable_key(show, remembered)


# -- calls -----------------------------------------------------------------------------------------

SAME_CALLS = {
    "by name": ((1,), {}, (), {"a": 1}),
    "a default": ((1,), {}, (1, 2), {}),
    "a keyword default": ((1,), {}, (1,), {"key": "k"}),
    "keywords in another order": ((1,), {"x": 1, "y": 2}, (1,), {"y": 2, "x": 1}),
}


@pytest.mark.parametrize("args, kwargs, other_args, other_kwargs", SAME_CALLS.values(), ids=SAME_CALLS)
def test_one_call_has_one_key(args, kwargs, other_args, other_kwargs):
    assert call_key(named, args, kwargs) == call_key(named, other_args, other_kwargs)


OTHER_CALLS = {
    "another value": ((2,), {}),
    "another type": ((1.0,), {}),
    "more arguments": ((1, 2, 3), {}),
    "more keywords": ((1,), {"rest": ()}),
    "a keyword named as the rest": ((1,), {"others": {}}),
}


@pytest.mark.parametrize("args, kwargs", OTHER_CALLS.values(), ids=OTHER_CALLS)
def test_another_call_has_another_key(args, kwargs):
    assert call_key(named, args, kwargs) != call_key(named, (1,))


def test_extra_is_part_of_the_key():
    assert len({call_key(named, (1,), extra=extra) for extra in (None, 1, "1")}) == 3


def test_a_method_is_its_function_called_with_the_object():
    assert call_key(Customer(1).orders, (2024,)) == call_key(Customer.orders, (Customer(1),))
    assert call_key(Customer(1).orders) != call_key(Customer(2).orders)


def test_arguments_that_do_not_fit_are_a_type_error_as_in_the_call():
    with pytest.raises(TypeError, match="missing a required argument: 'a'"):
        call_key(named)


def test_a_decorator_that_adds_arguments_may_show_the_signature_inside():
    @functools.wraps(named)
    def connected(*args):
        return named("connection", *args)

    @functools.wraps(Opaque.method)
    def bound(*args):
        return args

    assert call_key(connected, ()) != call_key(connected, (1,))
    assert call_key(bound, (1,)) != call_key(bound, (2,))


def test_functions_without_a_signature_have_keys():
    assert call_key(dict.fromkeys, ("ab",)) != call_key(dict.fromkeys, ("ac",))
    assert call_key(max, (1, 2)) != call_key(max, (2, 1))


# -- refusals --------------------------------------------------------------------------------------


def contains_itself():
    rows = []
    rows.append({"rows": rows})
    return rows


def deep():
    rows = []
    for _ in range(100_000):
        rows = [rows]
    return rows


class Endless:
    def __cache_key__(self):
        return [self]


def closing_over(value):
    return lambda: value


def local_instance():
    @dataclasses.dataclass
    class Local:
        x: int = 1

    return Local()


REFUSED = {
    "an object": (
        Opaque(),
        r'^args\["a"\] is a .*Opaque, which has no stable key: .*__cache_key__.*register',
    ),
    "in a list": ([1, Opaque()], r'^args\["a"\]\[1\] is a '),
    "in a dict": ({"query": {3: Opaque()}}, r'^args\["a"\]\["query"\]\[3\] is a '),
    "as a key": ({Opaque(): 1}, r'^args\["a"\]\.keys\(\) is a '),
    "in a set": ({Opaque()}, r'^args\["a"\]\{\.\.\.\} is a '),
    "in a data class": (Point(1, Opaque()), r'^args\["a"\]\.y is a '),
    "in a named tuple": (Place(1, Opaque()), r'^args\["a"\]\.y is a '),
    "in __cache_key__": (Customer(Opaque()), r'^args\["a"\]\.__cache_key__\(\) is a '),
    "in a closure": (closing_over(Opaque()), r'^args\["a"\]\.__closure__\["value"\] is a '),
    "in a partial": (functools.partial(named, 1, Opaque()), r'^args\["a"\]\.args\[1\] is a '),
    "the self of a method": (Opaque().method, r'^args\["a"\]\.__self__ is a '),
    "a generator": ((i for i in ()), r'^args\["a"\] is a builtins.generator'),
    "a file": (sys.__stdout__, r'^args\["a"\] is a _io.TextIOWrapper'),
    "a socket class's object": (socket.socket.__new__(socket.socket), "is a socket.socket"),
    "a loop": (contains_itself(), r'^args\["a"\]\[0\]\["rows"\] contains itself: pass what identifies it'),
    "a loop through __cache_key__": (Endless(), r"__cache_key__\(\)\[0\] contains itself"),
    "too deep": (deep(), r'^args\["a"\].* is nested too deeply'),
    "a local class": (local_instance(), "Local, to which its name does not lead: define it at the top level"),
}


@pytest.mark.parametrize("value, message", REFUSED.values(), ids=REFUSED)
def test_what_has_no_stable_key_is_refused_with_its_place(value, message):
    with pytest.raises(KeyingError, match=message):
        call_key(named, (value,))


def test_the_other_places_of_a_call_are_named_too():
    with pytest.raises(KeyingError, match=r"^extra\[0\] is a "):
        call_key(named, (1,), extra=[Opaque()])
    with pytest.raises(KeyingError, match=r'^args\["self"\] is a .*Opaque'):
        call_key(Opaque().method, (1,))
    with pytest.raises(KeyingError, match=r"^parts\[1\] is a "):
        stable_key(1, Opaque())
    with pytest.raises(KeyingError, match=r"^[\w.-]+closing_over.<locals>.<lambda>\.__closure__"):
        function_key(closing_over(Opaque()))


# -- extension -------------------------------------------------------------------------------------


class Row:
    def __init__(self, pk):
        self.pk = pk


class SpecialRow(Row):
    pass


@register(Row)
def row_key(row):
    return NotImplemented if row.pk is None else row.pk


def test_a_registered_class_and_its_subclasses_have_keys():
    assert stable_key(Row(1)) == stable_key(Row(1))
    assert len({stable_key(row) for row in (Row(1), Row(2), SpecialRow(1))}) == 3


def test_a_registered_keyer_may_decline():
    with pytest.raises(KeyingError, match="Row, which has no stable key"):
        stable_key(Row(None))


def test_a_method_of_the_class_goes_before_what_others_registered():
    class Own(Row):
        def __cache_key__(self):
            return "own"

    assert stable_key(Own(None)) == stable_key(Own(1))


def test_keys_need_no_server_client_and_no_slow_import():
    program = "import sys, cacheops_core.keys; print(*{'redis', 'funcy', 'inspect', 'dataclasses'} & {*sys.modules})"
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.check_output([sys.executable, "-S", "-c", program], env=env, text=True) == "\n"


# -- what `extra` stands for ------------------------------------------------------------------------


def closing_over_two(unkeyable, keyable):
    return lambda: (unkeyable, keyable)


def test_extra_stands_for_what_a_function_closes_over_that_has_no_key():
    one, two = (closing_over_two(Opaque(), 1) for _ in range(2))
    assert call_key(one, extra="a") == call_key(two, extra="a") != call_key(one, extra="b")


def test_extra_does_not_stand_for_what_has_a_key():
    one, two = closing_over_two(Opaque(), 1), closing_over_two(Opaque(), 2)
    assert call_key(one, extra="a") != call_key(two, extra="a")


def test_without_extra_all_that_a_function_closes_over_must_have_a_key():
    with pytest.raises(KeyingError, match="__cache_key__"):
        call_key(closing_over_two(Opaque(), 1))
