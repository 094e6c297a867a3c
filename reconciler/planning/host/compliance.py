"""Compliance of a host with its manifest, as a baseline scan would report it: driver, service, log level.

The config DB in use is not part of it: `access` and the other columns of the table cover that.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

from msgspec import Struct

from reconciler.model.kinds.host import HOST_SETTINGS, ObservedHost, ObservedSetting, Presence, ResolvedHost, Service


class Compliance(StrEnum):
    """Result of a baseline scan. NONE: the manifest states nothing about the host itself."""

    COMPLIANT = "compliant"
    NOT_COMPLIANT = "not compliant"
    UNKNOWN = "unknown"
    NONE = "none"


class Verdict(Struct, frozen=True):
    """Result of one host. `gaps`: what differs or is unknown, as phrases."""

    compliance: Compliance
    gaps: tuple[str, ...] = ()


def verdict(host: ResolvedHost | None, seen: ObservedHost | None) -> Verdict:
    """Judge one host; `seen` None: it was not observed. What could not be read makes it unknown, unless something
    differs.
    """
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
    for setting in HOST_SETTINGS:
        wanted, now = host.spec.settings.get(setting.name), seen.settings.get(setting.name, ObservedSetting())
        found = now.value or setting.default
        if wanted is not None and now.error is not None:
            yield f"{setting.noun} not readable", False
        elif wanted not in (None, found):
            yield f"{setting.noun} {found}, {wanted} is declared", True


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
