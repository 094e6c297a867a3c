"""What is wrong between documents that are each valid by themselves."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from reconciler.loader.manifests import Document
from reconciler.loader.wording import Path, did_you_mean, quoted
from reconciler.model.desired import DesiredConfigDB, DesiredHost, Site
from reconciler.model.errors import ManifestError
from reconciler.model.refs import Kind

Names = dict[Kind, set[str]]


@dataclass(slots=True)
class Claims:
    """Who said something first: remembers a document and a path for each key, and complains about the second."""

    errors: list[ManifestError]
    taken: dict[Hashable, tuple[Document, Path]] = field(default_factory=dict)

    def claim(self, key: Hashable, document: Document, path: Path, message: Callable[[str, str], str]) -> None:
        """`message` is given the subject and the place of the first who claimed `key`."""
        first, first_path = self.taken.setdefault(key, (document, path))
        if first is not document or first_path != path:
            at = str(first.locate(first_path))
            self.errors.append(document.error(path, message(first.subject, at)))


def duplicates(documents: Iterable[Document]) -> Iterator[ManifestError]:
    """One kind and metadata.name twice, and more than one Site."""
    errors: list[ManifestError] = []
    claims = Claims(errors)
    for document in documents:
        kind, name = document.kind, document.metadata_name
        if kind is Kind.SITE:
            claims.claim(kind, document, (), lambda who, at: f"there is a Site already, {who} ({at}); keep one")
        elif name is not None:
            path = ("metadata", "name")
            claims.claim(
                (kind, name), document, path, lambda _, at: f"{kind} {quoted(name)} is already declared ({at})"
            )
    return iter(errors)


def hosts(declared: list[tuple[Document, DesiredHost]], site: Site | None) -> Iterator[ManifestError]:
    """Hosts that are one and the same, and hosts that the Site does not allow."""
    errors: list[ManifestError] = []
    claims = Claims(errors)
    for document, host in declared:
        spec = document.data.get("spec", {})
        name_path = ("spec", "name") if "name" in spec else ("metadata", "name")
        address_path = ("spec", "address") if "address" in spec else name_path
        shown_name, shown_address = quoted(host.ref.name), quoted(host.address)
        claims.claim(
            ("name", host.ref.name),
            document,
            name_path,
            lambda _, at: f"a host named {shown_name} exists already ({at})",
        )
        claims.claim(
            ("address", host.address.lower()),
            document,
            address_path,
            lambda who, at: f"the address {shown_address} is already that of {who} ({at})",
        )
        if site is not None and not _allowed(host.address, site.allowed_hosts):
            allowed = ", ".join(map(quoted, site.allowed_hosts or ())) or "none"
            message = f"{shown_address} is not an address that the Site allows (spec.allow.hosts: {allowed})"
            errors.append(document.error(address_path, message))
    return iter(errors)


def _allowed(address: str, patterns: tuple[str, ...] | None) -> bool:
    return patterns is None or any(fnmatchcase(address.lower(), pattern.lower()) for pattern in patterns)


def config_dbs(
    declared: list[tuple[Document, DesiredConfigDB]], hosts: list[tuple[Document, DesiredHost]], known: Names
) -> Iterator[ManifestError]:
    """Config DBs that share a datastore or a host, and hosts that nobody declared."""
    errors: list[ManifestError] = []
    claims = Claims(errors)
    known_hosts = known[Kind.HOST] | {host.ref.name for _, host in hosts}
    for document, db in declared:
        claims.claim(
            db.datastore,
            document,
            ("spec", "datastore"),
            lambda who, at: f"{who} is already on this datastore ({at}); a datastore holds one config DB",
        )
        for position, name in enumerate(document.data["spec"].get("hosts", {}).get("names", ())):
            if name not in known_hosts:
                message = f"no Host {quoted(name)} is declared{did_you_mean(name, known_hosts)}"
                errors.append(document.error(("spec", "hosts", "names", position), message))
        _claim_hosts(claims, document, db, [host for _, host in hosts])
    return iter(errors)


def _claim_hosts(claims: Claims, document: Document, db: DesiredConfigDB, hosts: Collection[DesiredHost]) -> None:
    path: Path = ("spec", "hosts") if db.hosts is not None else ("spec",)
    mine = [host for host in hosts if _selects(db, host)]
    shared = [host for host in mine if claims.taken.setdefault(host.ref, (document, path))[0] is not document]
    if shared:
        first, first_path = claims.taken[shared[0].ref]
        more = f" and {len(shared) - 1} more" if len(shared) > 1 else ""
        message = f"{shared[0].ref}{more} already belongs to {first.subject} ({first.locate(first_path)})"
        claims.errors.append(document.error(path, f"{message}; a host uses one config DB"))


def _selects(db: DesiredConfigDB, host: DesiredHost) -> bool:
    if db.hosts is None:
        return True
    if db.hosts.names is not None:
        return host.ref.name in db.hosts.names
    return set(db.hosts.match_labels or ()) <= set(host.labels)
