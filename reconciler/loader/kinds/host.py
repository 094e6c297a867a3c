"""Host: an ESXi host, its address, its driver and service."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from reconciler.loader.manifest_set import Claims, ManifestSet
from reconciler.loader.manifests import Document
from reconciler.loader.wording import quoted
from reconciler.model.errors import ManifestError, Refusal
from reconciler.model.kinds.host import HOST_SETTINGS, DesiredDriver, DesiredHost, HostSpec, Maintenance, Presence
from reconciler.model.refs import Kind, ObjectRef
from reconciler.model.units import parse_duration

MAINTENANCE_TIMEOUT = "30m"
_ONLY_WHERE_PRESENT = ("version", "source", "sha256")


def build(manifests: ManifestSet) -> Iterator[tuple[Document, DesiredHost]]:
    """Yield every Host."""
    for document in manifests.documents[Kind.HOST]:
        yield document, host(document)


def host(document: Document) -> DesiredHost:
    """Build one Host."""
    spec, name = document.spec, document.name or ""
    driver = spec.get("driver")
    return DesiredHost(
        ref=ObjectRef(Kind.HOST, name),
        source=document.source,
        address=spec.get("address", name),
        labels=document.labels,
        spec=HostSpec(
            driver=None if driver is None else _driver(driver),
            service_running=True if "service" in spec else None,
            settings=dict(_settings(spec)),
        ),
    )


def _settings(spec: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for setting in HOST_SETTINGS:
        section, _, key = setting.name.partition(".")
        if (value := spec.get(section, {}).get(key)) is not None:
            yield setting.name, value


def _driver(driver: dict[str, Any]) -> DesiredDriver:
    digest = driver.get("sha256")
    state = Presence(driver.get("state", Presence.PRESENT))
    sha256 = digest.lower() if digest else None
    hostd = bool(driver.get("restartHostd", False))
    return DesiredDriver(driver.get("version"), driver.get("source"), sha256, state, hostd, _maintenance(driver))


def _maintenance(driver: dict[str, Any]) -> Maintenance | None:
    if driver.get("maintenanceMode") != "Required":
        return None
    seconds = int(parse_duration(driver.get("maintenanceTimeout", MAINTENANCE_TIMEOUT)))
    return Maintenance(seconds, int(driver.get("maxUnavailable", 1)))


def check(manifests: ManifestSet) -> Iterator[ManifestError]:
    """Check names and addresses, which are unique; the driver; and whether the Site allows the address."""
    claims = Claims()
    sites = [site for _, site in manifests.declared[Kind.SITE]]
    declared: list[tuple[Document, DesiredHost]] = manifests.declared[Kind.HOST]
    for document, host in declared:
        name_path = document.name_path
        address_path = ("spec", "address") if "address" in document.spec else name_path
        address = quoted(host.address)
        if clash := claims.claim(host.ref, document, name_path):
            yield document.error(
                name_path, f"a host named {quoted(host.ref.name)} is already declared ({clash.at})", Refusal.CONFLICT
            )
        elif clash := claims.claim(host.address.lower(), document, address_path):
            yield document.error(
                address_path, f"the address {address} is already that of {clash.who} ({clash.at})", Refusal.CONFLICT
            )
        if host.spec.driver is not None and host.spec.driver.state is Presence.ABSENT:
            yield from _without_driver(document)
        for site in sites:
            if not site.allows(host.address):
                patterns = ", ".join(map(quoted, site.allowed_hosts or ())) or "none"
                message = f"{address} is not an address that the Site allows (spec.allow.hosts: {patterns})"
                yield document.error(address_path, message, Refusal.NOT_ALLOWED)


def _without_driver(document: Document) -> Iterator[ManifestError]:
    message = f"not allowed when driver.state is {Presence.ABSENT}; leave it out"
    for field in _ONLY_WHERE_PRESENT:
        if field in document.spec["driver"]:
            yield document.error(("spec", "driver", field), message)
    if "service" in document.spec:
        yield document.error(("spec", "service"), message)
