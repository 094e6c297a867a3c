"""What is wrong between documents that are each valid by themselves."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from fnmatch import fnmatchcase

from msgspec import Struct

from reconciler.loader.manifests import Document
from reconciler.loader.wording import Path, did_you_mean, quoted
from reconciler.model.errors import ManifestError
from reconciler.model.kinds.configdb import DesiredConfigDB
from reconciler.model.kinds.host import DBMode, DesiredHost, Presence
from reconciler.model.kinds.site import Site
from reconciler.model.refs import Kind

Names = dict[Kind, set[str]]


class Clash(Struct, frozen=True):
    """Something is claimed twice: `who` claimed it first, and where that is written."""

    who: str
    at: str


class Claims:
    """Who claimed what first."""

    def __init__(self) -> None:
        self._taken: dict[Hashable, tuple[Document, Path]] = {}

    def claim(self, key: Hashable, document: Document, path: Path) -> Clash | None:
        """Claim `key` for what stands at `path`; the earlier claim if somebody else was first."""
        first, first_path = self._taken.setdefault(key, (document, path))
        if first is document and first_path == path:
            return None
        return Clash(first.subject, str(first.locate(first_path)))

    def first(self, key: Hashable) -> Clash | None:
        """Who claimed `key` first, if anybody did."""
        taken = self._taken.get(key)
        return None if taken is None else Clash(taken[0].subject, str(taken[0].locate(taken[1])))


def duplicates(documents: Iterable[Document]) -> Iterator[ManifestError]:
    """One kind and metadata.name twice, and more than one Site."""
    claims = Claims()
    for document in documents:
        kind, name = document.kind, document.metadata_name
        if kind is Kind.SITE:
            if clash := claims.claim(kind, document, ()):
                yield document.error((), f"there is a Site already, {clash.who} ({clash.at}); keep one")
        elif clash := claims.claim((kind, name), document, path := ("metadata", "name")):
            yield document.error(path, f"{kind} {quoted(name or '')} is already declared ({clash.at})")


def sites(declared: Iterable[Document]) -> Iterator[ManifestError]:
    """One way to the hosts, one account on them, and somewhere to look names up."""
    for document in declared:
        spec = document.data.get("spec", {})
        if "inventory" in spec and "vsphere" in spec:
            message = "names are looked up in vCenters or in a file; leave out vsphere or inventory"
            yield document.error(("spec", "inventory"), message)
        if "ssh" not in spec:
            continue
        if "lab" in spec:
            yield document.error(
                ("spec", "lab"), "the hosts are those of a lab, or reached by SSH; leave out lab or ssh"
            )
        elif "inventory" not in spec and "vsphere" not in spec:
            message = 'hosts reached by SSH need "vsphere", or an "inventory" file, to look up VMs and datastores'
            yield document.error(("spec", "ssh"), message)
        elif spec["ssh"].get("service") == "Manage" and "vsphere" not in spec:
            message = "only a vCenter can start and stop the SSH service of hosts; give spec.vsphere too"
            yield document.error(("spec", "ssh", "service"), message)
        if "user" in spec["ssh"] and "usernameFrom" in spec["ssh"].get("credentials", {}):
            path = ("spec", "ssh", "credentials", "usernameFrom")
            yield document.error(path, "the account is named by spec.ssh.user already; leave out one of them")


def hosts(declared: list[tuple[Document, DesiredHost]], site: Site | None) -> Iterator[ManifestError]:
    """Hosts that are one and the same, and hosts that the Site does not allow."""
    claims = Claims()
    for document, host in declared:
        spec = document.data.get("spec", {})
        name_path = ("spec", "name") if "name" in spec else ("metadata", "name")
        address_path = ("spec", "address") if "address" in spec else name_path
        address = quoted(host.address)
        if clash := claims.claim(host.ref, document, name_path):
            yield document.error(name_path, f"a host named {quoted(host.ref.name)} is already declared ({clash.at})")
        elif clash := claims.claim(host.address.lower(), document, address_path):
            yield document.error(address_path, f"the address {address} is already that of {clash.who} ({clash.at})")
        if host.driver is not None and host.driver.state is Presence.ABSENT:
            yield from _without_driver(document)
        if site is not None and not allowed(host, site):
            patterns = ", ".join(map(quoted, site.allowed_hosts or ())) or "none"
            message = f"{address} is not an address that the Site allows (spec.allow.hosts: {patterns})"
            yield document.error(address_path, message)


def _without_driver(document: Document) -> Iterator[ManifestError]:
    spec = document.data["spec"]
    for field in ("version", "source", "sha256"):
        if field in spec["driver"]:
            yield document.error(("spec", "driver", field), "a driver that shall be Absent has none; leave it out")
    if "service" in spec:
        yield document.error(("spec", "service"), "without the driver there is no service; leave it out")


def allowed(host: DesiredHost, site: Site) -> bool:
    """Whether the Site lets manifests name the address of this host."""
    patterns, address = site.allowed_hosts, host.address.lower()
    return patterns is None or any(fnmatchcase(address, pattern.lower()) for pattern in patterns)


def config_dbs(
    declared: list[tuple[Document, DesiredConfigDB]], hosts: list[tuple[Document, DesiredHost]], known: Names
) -> Iterator[ManifestError]:
    """Config DBs that share a datastore or a host, and hosts that nobody declared."""
    claims = Claims()
    known_hosts = known[Kind.HOST] | {host.ref.name for _, host in hosts}
    for document, db in declared:
        yield from _mode(document, db, [host for _, host in hosts])
        path: Path = ("spec", "datastore")
        if db.datastore is not None and (clash := claims.claim(db.datastore, document, path)):
            message = f"{clash.who} is already on this datastore ({clash.at}); a datastore holds one config DB"
            yield document.error(path, message)
        for position, name in enumerate(document.data["spec"].get("hosts", {}).get("names", ())):
            if name not in known_hosts:
                message = f"no Host {quoted(name)} is declared{did_you_mean(name, known_hosts)}"
                yield document.error(("spec", "hosts", "names", position), message)
        yield from _claim_hosts(claims, document, db, [host for _, host in hosts])


def _mode(document: Document, db: DesiredConfigDB, hosts: Iterable[DesiredHost]) -> Iterator[ManifestError]:
    """A MultiNode config DB needs a datastore; a SingleNode one has none, and exactly one host."""
    single = document.data["spec"].get("mode") == DBMode.SINGLE_NODE
    if single and db.datastore is not None:
        yield document.error(
            ("spec", "datastore"), "a SingleNode config DB is on its host, not on a datastore; leave this out"
        )
    elif not single and db.datastore is None:
        yield document.error(("spec",), 'a MultiNode config DB needs "datastore"')
    elif single and (number := sum(_selects(db, host) for host in hosts)) != 1:
        where: Path = ("spec", "hosts") if db.hosts is not None else ("spec",)
        message = f"a SingleNode config DB is that of exactly one Host, and this one selects {number}"
        yield document.error(where, message)


def _claim_hosts(
    claims: Claims, document: Document, db: DesiredConfigDB, hosts: Iterable[DesiredHost]
) -> Iterator[ManifestError]:
    """One error for all hosts that `db` shares with others; it names the first."""
    path: Path = ("spec", "hosts") if db.hosts is not None else ("spec",)
    clashes = [(host, claims.claim(host.ref, document, path)) for host in hosts if _selects(db, host)]
    shared = [(host, clash) for host, clash in clashes if clash is not None]
    if shared:
        host, clash = shared[0]
        more = f" and {len(shared) - 1} more already belong" if len(shared) > 1 else " already belongs"
        yield document.error(path, f"{host.ref}{more} to {clash.who} ({clash.at}); a host uses one config DB")


def _selects(db: DesiredConfigDB, host: DesiredHost) -> bool:
    if db.hosts is None:
        return True
    if db.hosts.names is not None:
        return host.ref.name in db.hosts.names
    if db.hosts.cluster is not None:
        return False  # only the inventory can tell
    return set(db.hosts.match_labels or ()) <= set(host.labels)
