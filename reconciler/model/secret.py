"""A secret: a value that cannot be shown by mistake."""

from __future__ import annotations

from typing import NoReturn

from reconciler.model.frozen import dataclass


class Secret:
    """Text that prints as `***`, is equal to nothing but itself, and can be neither pickled nor copied into JSON."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text. Only for the call that hands it to the peer."""
        return self._text

    def __repr__(self) -> str:
        return "***"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not stored")


@dataclass(frozen=True, slots=True)
class Login:
    """Who logs in, and with what. `password` None: by key, from a file or the SSH agent."""

    user: str
    password: Secret | None
