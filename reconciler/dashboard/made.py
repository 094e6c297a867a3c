"""JSON that is made on request, in a thread, once for all who ask."""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeVar

from reconciler.loader.load import collector_paused

_GZIP: Final = 16 + zlib.MAX_WBITS
_T = TypeVar("_T")


class Body:
    """The text of an answer, compressed once; a tail that changes all the time is added for each who asks."""

    def __init__(self, text: bytes) -> None:
        self._text = text
        self._packer = zlib.compressobj(6, zlib.DEFLATED, _GZIP)
        self._packed = self._packer.compress(text)

    def plain(self, tail: bytes = b"") -> bytes:
        """Return the whole text."""
        return self._text + tail

    def packed(self, tail: bytes = b"") -> bytes:
        """Return the whole text as gzip."""
        packer = self._packer.copy()
        return self._packed + packer.compress(tail) + packer.flush()


class Workshop:
    """Makes answers in a thread, one at a time, so that the watch has the rest of the machine."""

    def __init__(self) -> None:
        self._making = asyncio.Lock()
        self._kept: dict[str, tuple[int, Body]] = {}

    async def kept(
        self, name: str, version: Callable[[], int], make: Callable[[], Callable[[], bytes]]
    ) -> tuple[int, Body]:
        """Return the last answer of this name, with its version, or make it anew if there is a new one.

        `make` is called in the loop, and returns what is to be done in the thread.
        """
        async with self._making:
            now, known = version(), self._kept.get(name)
            if known is None or known[0] != now:
                do = make()
                known = self._kept[name] = now, await asyncio.to_thread(lambda: Body(_gently(do)))
            return known

    async def once(self, do: Callable[[], _T]) -> _T:
        """Return what is made now."""
        async with self._making:
            return await asyncio.to_thread(_gently, do)


def _gently(do: Callable[[], _T]) -> _T:
    with collector_paused():
        return do()


def encode(value: Any) -> str:
    """Write JSON in ASCII."""
    return json.dumps(value, separators=(",", ":"))


def encode_list(values: Iterable[Any]) -> str:
    """Write a list in small steps: each value that is encoded at once holds the interpreter lock, and the loop."""
    return f"[{','.join(map(encode, values))}]"


def encode_mapping(parts: Mapping[str, str]) -> str:
    """Write a mapping whose values are JSON already."""
    return "{" + ",".join(f"{encode(key)}:{value}" for key, value in parts.items()) + "}"
