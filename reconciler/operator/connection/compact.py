"""Objects of the API in less memory: what nobody goes by is removed, and what many of them have is kept once."""

from __future__ import annotations

from typing import Any, Final

from reconciler.operator.connection.objects import KubeObject

_DEEPEST: Final = 32  # levels of a spec or a status; none has ten
_MOST: Final = 4096  # values that are known at a time
_LONGEST: Final = 500  # characters of one, so that those that are gone hold little memory
_LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"


def compact(item: KubeObject) -> None:
    """Make an object smaller, in place. What is nested too deeply to be a manifest ends there, so that nobody has to be
    careful with it."""
    metadata = item.metadata
    if metadata.annotations is not None:
        metadata.annotations.pop(_LAST_APPLIED, None)
    metadata.namespace = _compact(metadata.namespace)
    metadata.creation_timestamp = _compact(metadata.creation_timestamp)
    metadata.labels, metadata.annotations = _compact(metadata.labels), _compact(metadata.annotations)
    item.spec, item.status = _compact(item.spec), _compact(item.status)


class _Once:
    """Keeps equal values once, of those that came last."""

    def __init__(self) -> None:
        self._values: dict[tuple[type, str], Any] = {}

    def __call__(self, value: Any, text: str) -> Any:
        """Return the value of its type that came first with this text."""
        if len(text) > _LONGEST:
            return value
        if len(self._values) == _MOST:
            self._values.clear()
        return self._values.setdefault((type(value), text), value)


_once: Final = _Once()


def _compact(value: Any, levels: int = _DEEPEST) -> Any:
    """Keep texts and flat mappings once (names, entries of access lists, conditions), but for texts in lists: few of
    those (VMs) are in another object, too."""
    if isinstance(value, str):
        return _once(value, value)
    if isinstance(value, dict | list) and not levels:
        return "nested too deeply"
    if isinstance(value, dict):
        for name, each in value.items():
            value[name] = _compact(each, levels - 1)
        if not any(isinstance(each, dict | list) for each in value.values()):
            return _once(value, repr(value))  # by which 1 is not True
    elif isinstance(value, list):
        value[:] = [each if isinstance(each, str) else _compact(each, levels - 1) for each in value]
    return value
