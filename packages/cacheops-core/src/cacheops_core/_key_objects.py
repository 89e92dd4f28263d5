"""What an object is made of, for the purpose of telling it from others: a label for its class, and parts.

In the order in which they are asked: ``__cache_key__``, ``register``, functions and classes, data classes,
enums, named tuples, a table of the standard library, and subclasses of what stands in that table.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable, Iterator
from functools import singledispatch
from itertools import takewhile
from typing import Any

from . import _key_functions
from ._key_functions import Label, Parts, Unkeyable, class_label

__all__ = ["MAY_CONTAIN_ITSELF", "Unkeyable", "decompose", "register"]

MAY_CONTAIN_ITSELF = types.FunctionType


@singledispatch
def _registered(value: Any) -> Any:
    return NotImplemented


def register(kind: type, keyer: Callable[[Any], Any] | None = None) -> Any:
    """Make instances of ``kind`` and of its subclasses keyable by what ``keyer`` returns for them.

    What it returns must be keyable itself and must tell apart any two instances of one class; the class is
    part of the key anyway. It may return ``NotImplemented`` for what it does not know. Usable as a decorator:
    ``@register(Model)``.
    """
    return _registered.register(kind) if keyer is None else _registered.register(kind, keyer)


def decompose(value: Any) -> tuple[Label, Parts]:
    """Return the label and the parts that tell this object from all others, or raise ``Unkeyable``."""
    kind = type(value)
    if hasattr(kind, "__cache_key__"):
        return ("key", *class_label(kind)), [(".__cache_key__()", kind.__cache_key__(value))]
    registered = _registered.dispatch(kind)(value)
    if registered is not NotImplemented:
        return ("registered", *class_label(kind)), [("", registered)]
    found = _key_functions.decompose(value) or _structured(value, kind) or _standard(value, kind)
    if found is None:
        raise Unkeyable(f"is a {kind.__module__}.{kind.__qualname__}, which has no stable key")
    return found


def _structured(value: Any, kind: type) -> tuple[Label, Parts] | None:
    if hasattr(kind, "__dataclass_fields__"):
        # A field with compare=False was declared not to matter for equality.
        fields = kind.__dataclass_fields__.items()
        names = [name for name, field in fields if field.compare and _is_field(field)]
        return ("dataclass",), [("", kind), *((f".{name}", getattr(value, name)) for name in names)]
    if hasattr(kind, "__members__") and hasattr(value, "_name_"):
        # By name, as values may be anything; a combination of flags may have none, but it has its integer.
        number = int(value._value_) if isinstance(value._value_, int) else None
        return ("enum",), [("", kind), ("", value._name_), ("", number)]
    if kind.__bases__ == (tuple,) and hasattr(kind, "_fields"):
        # Not the class but its name: database drivers make such classes on the fly; no name leads to them.
        parts = ((f".{name}", item) for name, item in zip(kind._fields, value, strict=True))
        return ("namedtuple", *class_label(kind), *kind._fields), list(parts)
    return None


def _is_field(field: Any) -> bool:
    # ClassVar and InitVar pseudo-fields stand in the same table; dataclasses itself is slow to import.
    return bool(field._field_type.name == "_FIELD")


def _standard(value: Any, kind: type) -> tuple[Label, Parts] | None:
    for base in kind.__mro__:
        name = f"{base.__module__}.{base.__qualname__}"
        parts = _STANDARD.get(name)
        if parts is not None:
            found = [("", part) for part in parts(value)]
            if base is kind:
                return ("standard", name.replace("pathlib._local", "pathlib")), found
            return ("subclass", name), [("", kind), *found, *_state(value, base)]
    return None


def _state(value: Any, base: type) -> Iterator[tuple[str, Any]]:
    """Yield what subclasses of ``base`` added to this instance: attributes, and slots of those classes."""
    names = set(getattr(value, "__dict__", ()))
    for cls in takewhile(lambda cls: cls is not base, type(value).__mro__):
        names.update(name for name, slot in vars(cls).items() if isinstance(slot, types.MemberDescriptorType))
    for name in sorted(names):
        if hasattr(value, name):
            yield "", name
            yield f".{name}", getattr(value, name)


def _zone(value: Any) -> Any:
    """Return what tells a time zone from others: its name in the database, or what it would be pickled as."""
    if value is None:
        return None
    key = getattr(value, "key", None)
    if isinstance(key, str) and type(value).__module__ == "zoneinfo":
        return key
    return value.__reduce_ex__(4)


def _moment(value: Any) -> Iterable[Any]:
    return value.replace(tzinfo=None).isoformat(), value.fold, _zone(value.tzinfo)


def _text(value: Any) -> Iterable[Any]:
    return (str(value),)


# By name, since importing all of these modules would take longer than most scripts need for their first key;
# and since Python moves its path classes between modules, while a key shall mean the same on all versions.
_STANDARD: dict[str, Callable[[Any], Iterable[Any]]] = {
    # Only for subclasses, as the encoder knows these types; so methods of the base, not overridden ones.
    "builtins.int": lambda value: (int.__int__(value),),
    "builtins.float": lambda value: (float.__float__(value),),
    "builtins.str": lambda value: (str.__str__(value),),
    "builtins.bytes": lambda value: (bytes.__getitem__(value, slice(None)),),
    "builtins.tuple": lambda value: (tuple.__getitem__(value, slice(None)),),
    "builtins.list": lambda value: (list.copy(value),),
    "builtins.set": lambda value: (set().union(value),),
    "builtins.frozenset": lambda value: (frozenset().union(value),),
    "builtins.dict": lambda value: (dict.copy(value),),
    # The rest of the language.
    "builtins.bytearray": lambda value: (bytes(value),),
    "builtins.memoryview": lambda value: (value.format, value.shape, value.tobytes()),
    "builtins.complex": lambda value: (value.real, value.imag),
    "builtins.range": lambda value: (value.start, value.stop, value.step),
    "builtins.slice": lambda value: (value.start, value.stop, value.step),
    "builtins.mappingproxy": lambda value: (dict(value),),
    "builtins.module": lambda value: (value.__name__,),
    "types.GenericAlias": lambda value: (value.__origin__, value.__args__),
    "types.UnionType": lambda value: (value.__args__,),
    # The standard library.
    "collections.OrderedDict": lambda value: (list(value.items()),),
    "collections.defaultdict": lambda value: (value.default_factory, dict(value)),
    "collections.deque": lambda value: (value.maxlen, list(value)),
    "datetime.date": lambda value: (value.isoformat(),),
    "datetime.datetime": _moment,
    "datetime.time": _moment,
    "datetime.timedelta": lambda value: (value.days, value.seconds, value.microseconds),
    "datetime.timezone": lambda value: (value.utcoffset(None), value.tzname(None)),
    "decimal.Decimal": _text,
    "fractions.Fraction": lambda value: (value.numerator, value.denominator),
    "ipaddress.IPv4Address": _text,
    "ipaddress.IPv4Interface": _text,
    "ipaddress.IPv4Network": _text,
    "ipaddress.IPv6Address": _text,
    "ipaddress.IPv6Interface": _text,
    "ipaddress.IPv6Network": _text,
    "operator.attrgetter": lambda value: value.__reduce__(),
    "operator.itemgetter": lambda value: value.__reduce__(),
    "operator.methodcaller": lambda value: value.__reduce__(),
    "re.Pattern": lambda value: (value.pattern, value.flags),
    "uuid.UUID": lambda value: (value.bytes,),
    "zoneinfo.ZoneInfo": lambda value: (_zone(value),),
}
_STANDARD |= {
    f"{module}.{flavour}Path": _text
    for module in ("pathlib", "pathlib._local")
    for flavour in ("Posix", "Windows", "PurePosix", "PureWindows")
}
