"""ConfigDB: where a config DB is, and which hosts use it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

from reconciler.loader.manifest_set import Claims, ManifestSet
from reconciler.loader.manifests import Document, datastore_ref
from reconciler.loader.wording import Path, did_you_mean, quoted
from reconciler.model.errors import ManifestError, Refusal
from reconciler.model.kinds.configdb import DesiredConfigDB, HostSelector, Unmanaged
from reconciler.model.kinds.host import DBMode, DesiredHost, Presence
from reconciler.model.refs import Kind, ObjectRef

BACKUPS_TO_KEEP = 10
BACKUPS_OF_ONE_NODE = 2  # they are in the host's memory


def build(manifests: ManifestSet) -> Iterator[tuple[Document, DesiredConfigDB]]:
    """Yield every ConfigDB."""
    hosts: list[tuple[Document, DesiredHost]] = manifests.declared[Kind.HOST]
    host_names = {(document.namespace, document.metadata_name): host.ref.name for document, host in hosts}
    for document in manifests.documents[Kind.CONFIG_DB]:
        spec = document.spec
        default = spec.get("defaultVMGroup")
        keep = BACKUPS_TO_KEEP if "datastore" in spec else BACKUPS_OF_ONE_NODE
        yield (
            document,
            DesiredConfigDB(
                ref=ObjectRef(Kind.CONFIG_DB, document.data["metadata"]["name"]),
                source=document.source,
                datastore=datastore_ref(spec["datastore"]) if "datastore" in spec else None,
                hosts=_selector(spec["hosts"], document.namespace, host_names) if "hosts" in spec else None,
                default_vmgroup=None if default is None else Presence(default),
                unmanaged=Unmanaged(spec.get("unmanaged", Unmanaged.REPORT)),
                backups_to_keep=int(spec.get("backups", {}).get("keep", keep)),
                labels=document.labels,
            ),
        )


def _selector(hosts: dict[str, Any], namespace: str, host_names: Mapping[tuple[str, str | None], str]) -> HostSelector:
    """Build the selector. `host_names`: names in the inventory of declared Hosts, by namespace and `metadata.name`."""
    if "matchLabels" in hosts:
        return HostSelector(match_labels=tuple(sorted(hosts["matchLabels"].items())))
    if "cluster" in hosts:
        return HostSelector(cluster=hosts["cluster"].rstrip("/"))
    return HostSelector(names=tuple(host_names.get((namespace, name), name) for name in hosts["names"]))


def check(manifests: ManifestSet) -> Iterator[ManifestError]:
    """Check the mode; that hosts are declared; and that no two config DBs share a datastore or a host."""
    claims = Claims()
    hosts: list[DesiredHost] = [host for _, host in manifests.declared[Kind.HOST]]
    in_vdvs = {host.ref.name for host in hosts}
    declared: list[tuple[Document, DesiredConfigDB]] = manifests.declared[Kind.CONFIG_DB]
    for document, db in declared:
        yield from _mode(document, db, hosts)
        path: Path = ("spec", "datastore")
        if db.datastore is not None and (clash := claims.claim(db.datastore, document, path)):
            message = f"{clash.who} is already on this datastore ({clash.at}); a datastore holds one config DB"
            yield document.conflict(path, message)
        for position, name in enumerate(document.spec.get("hosts", {}).get("names", ())):
            if name not in in_vdvs and (Kind.HOST, document.namespace, name) not in manifests.in_namespaces:
                known = chain(in_vdvs, (host for kind, _, host in manifests.in_namespaces if kind is Kind.HOST))
                message = f"no Host {quoted(name)} is declared{did_you_mean(name, manifests.few(known))}"
                yield document.error(("spec", "hosts", "names", position), message)
        yield from _claim_hosts(claims, document, db, hosts)


def _mode(document: Document, db: DesiredConfigDB, hosts: Iterable[DesiredHost]) -> Iterator[ManifestError]:
    """A MultiNode config DB needs a datastore; a SingleNode one has none, and exactly one host.

    Source: docs/domain.md#modes-of-a-host
    """
    single = document.spec.get("mode") == DBMode.SINGLE_NODE
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
    """Yield one error for all hosts that `db` shares with others; it names the first."""
    path: Path = ("spec", "hosts") if db.hosts is not None else ("spec",)
    clashes = [(host, claims.claim(host.ref, document, path)) for host in hosts if _selects(db, host)]
    shared = [(host, clash) for host, clash in clashes if clash is not None]
    if shared:
        host, clash = shared[0]
        more = f" and {len(shared) - 1} more already belong" if len(shared) > 1 else " already belongs"
        yield document.error(
            path, f"{host.ref}{more} to {clash.who} ({clash.at}); a host uses one config DB", Refusal.CONFLICT
        )


def _selects(db: DesiredConfigDB, host: DesiredHost) -> bool:
    """Whether the manifest of `db` selects `host`. A cluster selects none here: only the inventory knows its hosts."""
    if db.hosts is None:
        return True
    if db.hosts.names is not None:
        return host.ref.name in db.hosts.names
    if db.hosts.cluster is not None:
        return False
    return set(db.hosts.match_labels or ()) <= set(host.labels)
