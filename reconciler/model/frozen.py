"""`dataclass(frozen=True, slots=True)`, made in a fifth of the time.

The standard one compiles six functions for each class. Every command would wait for those of more than a hundred
classes, longer than it takes to compare a small site; here only `__init__` is compiled. Type checkers are told that it
is the standard one, and it behaves like it.
"""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
else:

    def dataclass(*, frozen: bool, slots: bool, order: bool = False) -> Callable[[type], type]:
        """Both must be True, as every reader of such a line will expect."""
        if not (frozen and slots):
            raise TypeError("this is for frozen classes with slots; take the standard dataclass")
        return lambda cls: _completed(cls, order)


_Methods = dict[str, Callable[..., Any]]
_ORDERING = {"__lt__": operator.lt, "__le__": operator.le, "__gt__": operator.gt, "__ge__": operator.ge}


def _completed(cls: type, order: bool) -> type:
    made: type = dataclasses.dataclass(init=False, repr=False, eq=False, slots=True)(cls)
    fields = dataclasses.fields(made)
    compared = tuple(field.name for field in fields if field.compare)
    methods = _shared(tuple(field.name for field in fields), compared)
    methods["__init__"] = _init(made, fields)
    if order:
        methods |= {name: _comparing(compare, _values(compared)) for name, compare in _ORDERING.items()}
    for name, method in methods.items():
        if name not in cls.__dict__:
            setattr(made, name, method)
    return made


def _shared(names: tuple[str, ...], compared: tuple[str, ...]) -> _Methods:
    """What needs no compiling. `__getstate__` and `__setstate__` are for copying and pickling."""
    values, key = _values(names), _values(compared)

    def eq(self: object, other: object) -> Any:
        return key(self) == key(other) if other.__class__ is self.__class__ else NotImplemented

    def represent(self: object) -> str:
        inside = ", ".join(f"{name}={value!r}" for name, value in zip(names, values(self), strict=True))
        return f"{self.__class__.__qualname__}({inside})"

    def set_state(self: object, state: tuple[Any, ...]) -> None:
        for name, value in zip(names, state, strict=True):
            object.__setattr__(self, name, value)

    return {
        "__eq__": eq,
        "__hash__": lambda self: hash(key(self)),
        "__repr__": represent,
        "__setattr__": _refuse,
        "__delattr__": _refuse,
        "__getstate__": lambda self: values(self),
        "__setstate__": set_state,
    }


def _values(names: tuple[str, ...]) -> Callable[[object], tuple[Any, ...]]:
    if len(names) > 1:
        return operator.attrgetter(*names)
    return lambda self: tuple([getattr(self, name) for name in names])  # of one name, attrgetter gives no tuple


def _refuse(self: object, name: str, *value: object) -> None:
    verb = "assign to" if value else "delete"
    raise dataclasses.FrozenInstanceError(f"cannot {verb} field {name!r} of {self.__class__.__name__}")


def _comparing(compare: Callable[[Any, Any], bool], values: Callable[[object], Any]) -> Callable[..., Any]:
    def method(self: object, other: object) -> Any:
        return compare(values(self), values(other)) if other.__class__ is self.__class__ else NotImplemented

    return method


def _init(made: type, fields: tuple[dataclasses.Field[Any], ...]) -> Callable[..., None]:
    """`__init__`, compiled, because it is what runs most often."""
    known: dict[str, Any] = {"_set": object.__setattr__}
    parameters, body = [], []
    for field in fields:
        value = field.name
        if field.default_factory is not dataclasses.MISSING:
            known[f"_make_{field.name}"], known["_MISSING"] = field.default_factory, dataclasses.MISSING
            parameters.append(f"{field.name}=_MISSING")
            value = f"_make_{field.name}() if {field.name} is _MISSING else {field.name}"
        elif field.default is not dataclasses.MISSING:
            known[f"_default_{field.name}"] = field.default
            parameters.append(f"{field.name}=_default_{field.name}")
        else:
            parameters.append(field.name)
        body.append(f" _set(self, {field.name!r}, {value})\n")
    text = f"def __init__(self, {', '.join(parameters)}):\n{''.join(body) or ' pass'}"
    exec(text, known)  # noqa: S102 - made of names of fields only
    init: Callable[..., None] = known["__init__"]
    init.__qualname__ = f"{made.__qualname__}.__init__"
    return init
