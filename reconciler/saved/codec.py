"""Frozen dataclasses as plain data (what JSON can hold) and back. Everything is read off the types, so a new action, or
a new field of an old one, needs nothing here.

A dataclass is an object with its fields; where a type is a choice of several dataclasses, `is` names the class. An enum
is its value, a tuple or set a list (a set in a fixed order), a datetime ISO 8601.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

Data = Any
"""What JSON can hold."""

_T = TypeVar("_T")
_WHICH = "is"  # no field can be called so: it is a keyword
_AS_THEY_ARE = (str, bool, int)


class MalformedError(ValueError):
    """Data that no value of the type has. The message says where, and what is wrong there."""


@dataclass(frozen=True, slots=True)
class _Codec:
    encode: Callable[[Any], Data]
    decode: Callable[[Data, str], Any]


def encode(kind: type[_T], value: _T) -> Data:
    """`value`, which is a `kind`, as plain data."""
    return _of(kind).encode(value)


def decode(kind: type[_T], data: Data) -> _T:
    """The value that `encode(kind, value)` gave `data` for. Raises MalformedError; nothing is guessed or left out."""
    return cast(_T, _of(kind).decode(data, ""))


def _of(kind: Any) -> _Codec:
    return _codec(kind)


@cache
def _codec(kind: Any) -> _Codec:
    if kind in _AS_THEY_ARE:
        return _Codec(lambda value: value, lambda data, place: _as_it_is(kind, data, place))
    if kind is object:  # a Value of model.diff, which is plain data already
        return _Codec(_plain, lambda data, _place: data)
    if kind is datetime:
        return _Codec(datetime.isoformat, _datetime)
    if get_origin(kind) in (Union, UnionType):
        return _union(get_args(kind))
    if get_origin(kind) in (tuple, frozenset):
        return _sequence(kind)
    if dataclasses.is_dataclass(kind):
        return _dataclass(cast(type, kind))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _Codec(lambda value: value.value, lambda data, place: _enum(kind, data, place))
    raise TypeError(f"a field of type {kind} cannot be saved")  # met by the first test that builds the codec


def _as_it_is(kind: type, data: Data, place: str) -> Any:
    if type(data) is not kind:
        raise MalformedError(f"{place or 'it'} is not {kind.__name__}")
    return data


def _datetime(data: Data, place: str) -> datetime:
    try:
        found = datetime.fromisoformat(data)
    except (TypeError, ValueError):
        raise MalformedError(f"{place} is no time") from None
    if found.tzinfo is None:
        raise MalformedError(f"{place} has no time zone")
    return found


def _enum(kind: type[Enum], data: Data, place: str) -> Enum:
    try:
        return kind(data)
    except ValueError:
        raise MalformedError(f"{place} is no {kind.__name__}") from None


def _plain(value: Any) -> Data:
    if isinstance(value, str | int) or value is None:
        return value
    if hasattr(value, "items"):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value]


def _sequence(kind: Any) -> _Codec:
    args = get_args(kind)
    make, ordered = cast(type, get_origin(kind)), get_origin(kind) is tuple
    if ordered and args[-1:] != (Ellipsis,):
        return _record([_codec(arg) for arg in args])
    item = _codec(args[0])

    def to_data(value: Any) -> Data:
        items = [item.encode(one) for one in value]
        return items if ordered else sorted(items, key=repr)

    def from_data(data: Data, place: str) -> Any:
        return make(item.decode(one, f"{place}[{number}]") for number, one in enumerate(_list(data, place)))

    return _Codec(to_data, from_data)


def _record(items: list[_Codec]) -> _Codec:
    """A tuple of so many things, each of its own type."""

    def from_data(data: Data, place: str) -> Any:
        if len(_list(data, place)) != len(items):
            raise MalformedError(f"{place} does not have {len(items)} items")
        return tuple(item.decode(one, place) for item, one in zip(items, data, strict=True))

    return _Codec(lambda value: [item.encode(one) for item, one in zip(items, value, strict=True)], from_data)


def _list(data: Data, place: str) -> list[Data]:
    if not isinstance(data, list):
        raise MalformedError(f"{place} is no list")
    return data


def _dataclass(kind: type) -> _Codec:
    hints = get_type_hints(kind, localns={"Value": object})
    fields = {field.name: _codec(hints[field.name]) for field in dataclasses.fields(kind)}

    def to_data(value: Any) -> Data:
        return {name: field.encode(getattr(value, name)) for name, field in fields.items()}

    def from_data(data: Data, place: str) -> Any:
        if not isinstance(data, dict):
            raise MalformedError(f"{place or 'it'} is no {kind.__name__}")
        if odd := data.keys() ^ fields.keys():
            what = "missing" if min(odd) in fields else "unknown"
            raise MalformedError(f"{f'{place}.' if place else ''}{min(odd)} is {what}")
        return kind(**{name: field.decode(data[name], f"{place}.{name}") for name, field in fields.items()})

    return _Codec(to_data, from_data)


def _union(kinds: tuple[Any, ...]) -> _Codec:
    classes = {cast(type, kind).__name__: kind for kind in kinds if dataclasses.is_dataclass(kind)}
    if len(classes) > 1:
        return _choice(classes)
    (kind,) = (kind for kind in kinds if kind is not NoneType)
    one = _codec(kind)
    return _Codec(
        lambda value: None if value is None else one.encode(value),
        lambda data, place: None if data is None else one.decode(data, place),
    )


def _choice(classes: dict[str, Any]) -> _Codec:
    codecs = {name: _codec(kind) for name, kind in classes.items()}

    def to_data(value: Any) -> Data:
        name = type(value).__name__
        return {_WHICH: name, **codecs[name].encode(value)}

    def from_data(data: Data, place: str) -> Any:
        name = data.get(_WHICH) if isinstance(data, dict) else None
        if name not in codecs:
            raise MalformedError(f"{place} is none of {', '.join(codecs)}")
        return codecs[name].decode({key: item for key, item in data.items() if key != _WHICH}, place)

    return _Codec(to_data, from_data)
