"""What a scan of a host against its baseline tells."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from reconciler.model.kinds.host import (
    DesiredDriver,
    HostSpec,
    ObservedHost,
    ObservedSetting,
    Presence,
    ResolvedHost,
    Service,
)
from reconciler.planning.host.compliance import Compliance, verdict
from tests.render import sites

LEVEL = "service.logLevel"
DRIVER = DesiredDriver("0.14", "/x.vib", None)
ALL: dict[str, Any] = {"driver": DRIVER, "service_running": True, "settings": {LEVEL: "INFO"}}


def of(wishes: dict[str, Any], **seen: Any) -> tuple[str, tuple[str, ...]]:
    assessment = sites.in_sync()
    host: ResolvedHost = replace(assessment.resolved.hosts[0], spec=HostSpec(**wishes))
    found = assessment.observed.hosts[host.ref.name]
    assert isinstance(found, ObservedHost)
    good: dict[str, Any] = {"driver": "0.14", "driver_error": None, "service": Service.RUNNING, "settings": {}}
    told = verdict(host, replace(found, **{**good, **seen}))
    return told.compliance.value, told.gaps


def test_as_declared() -> None:
    assert of(ALL) == ("compliant", ())
    assert of({"driver": replace(DRIVER, version=None)}, driver="9.9") == ("compliant", ())
    assert of({"driver": replace(DRIVER, state=Presence.ABSENT)}, driver=None) == ("compliant", ())
    assert of({"settings": {LEVEL: "DEBUG"}}, settings={LEVEL: ObservedSetting("DEBUG")}) == ("compliant", ())


@pytest.mark.parametrize(
    ("wishes", "seen", "gap"),
    [
        ({"driver": DRIVER}, {"driver": None}, "no driver, 0.14 is declared"),
        ({"driver": DRIVER}, {"driver": "0.11"}, "driver 0.11, 0.14 is declared"),
        ({"driver": replace(DRIVER, state=Presence.ABSENT)}, {}, "driver 0.14, none is declared"),
        ({"service_running": True}, {"service": Service.STOPPED}, "service stopped, running is declared"),
        ({"settings": {LEVEL: "DEBUG"}}, {}, "log level INFO, DEBUG is declared"),
    ],
)
def test_what_is_not_as_declared(wishes: dict[str, Any], seen: dict[str, Any], gap: str) -> None:
    assert of(wishes, **seen) == ("not compliant", (gap,))


def test_what_cannot_be_told_is_unknown_and_hides_nothing_that_is_known() -> None:
    assert of(ALL, driver=None, driver_error="busy") == ("unknown", ("driver not readable",))
    assert of(ALL, settings={LEVEL: ObservedSetting(error="no JSON")}) == ("unknown", ("log level not readable",))
    unknown = "service unknown, running is declared"
    assert of(ALL, service=Service.UNKNOWN) == ("unknown", (unknown,))
    stopped = ("service stopped, running is declared",)
    assert of(ALL, driver=None, driver_error="busy", service=Service.STOPPED) == ("not compliant", stopped)


def test_hosts_that_do_not_answer_or_have_no_baseline() -> None:
    host = replace(sites.in_sync().resolved.hosts[0], spec=HostSpec(**ALL))
    assert verdict(host, None).compliance is Compliance.UNKNOWN
    assert verdict(replace(host, spec=HostSpec()), None).compliance is Compliance.NONE
    assert verdict(None, None).compliance is Compliance.NONE
