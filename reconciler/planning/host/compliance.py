"""Whether a host itself is as its manifest says, as a baseline scan would report: driver, service, log level.

The config DB that it uses is not part of this: that is what `access` and the rest of the table are about.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

from msgspec import Struct

from reconciler.model.kinds.host import ObservedHost, Presence, ResolvedHost, Service
from reconciler.planning.host.driver import DEFAULT_LOG_LEVEL


class Compliance(StrEnum):
    """As a baseline's scan says it. NONE: the manifest says nothing of it."""

    COMPLIANT = "compliant"
    NOT_COMPLIANT = "not compliant"
    UNKNOWN = "unknown"
    NONE = "none"


class Verdict(Struct, frozen=True):
    """`gaps`: what is not as declared, or unknown, in words."""

    compliance: Compliance
    gaps: tuple[str, ...] = ()


def verdict(host: ResolvedHost | None, seen: ObservedHost | None) -> Verdict:
    """Of one host; `seen` None: it was not observed. What could not be read is unknown, unless more is amiss."""
    if host is None or host.spec.empty:
        return Verdict(Compliance.NONE)
    if seen is None:
        return Verdict(Compliance.UNKNOWN, ("it does not answer",))
    found = list(_gaps(host, seen))
    if wrong := tuple(text for text, known in found if known):
        return Verdict(Compliance.NOT_COMPLIANT, wrong)
    unknown = tuple(text for text, known in found if not known)
    return Verdict(Compliance.UNKNOWN if unknown else Compliance.COMPLIANT, unknown)


def _gaps(host: ResolvedHost, seen: ObservedHost) -> Iterator[tuple[str, bool]]:
    """Each with whether it is known."""
    if host.spec.driver is not None:
        yield from _driver(host, seen)
    if host.spec.service_running is True and seen.service is not Service.RUNNING:
        yield f"service {seen.service.value}, running is declared", seen.service is not Service.UNKNOWN
    if host.spec.log_level is not None:
        found = seen.log_level or DEFAULT_LOG_LEVEL
        if seen.log_error is not None:
            yield "log level not readable", False
        elif found != host.spec.log_level:
            yield f"log level {found}, {host.spec.log_level} is declared", True


def _driver(host: ResolvedHost, seen: ObservedHost) -> Iterator[tuple[str, bool]]:
    wanted = host.spec.driver
    if wanted is None:
        return
    if seen.driver_error is not None:
        yield "driver not readable", False
    elif wanted.state is Presence.ABSENT:
        if seen.driver is not None:
            yield f"driver {seen.driver}, none is declared", True
    elif seen.driver is None:
        yield f"no driver, {wanted.version or 'one'} is declared", True
    elif wanted.version is not None and wanted.version != seen.driver:
        yield f"driver {seen.driver}, {wanted.version} is declared", True
