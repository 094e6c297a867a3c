"""Site: how to reach hosts and vCenters. Paths in it are relative to the folder of its file.

Who may be reached, and with which secret, is for the operator to say, with --site. A Site among the manifests, which
may be anybody's, is used only if it is a lab, and all of it in the folder of its file.
"""

from __future__ import annotations

import os.path
from collections.abc import Iterator
from typing import Any

from reconciler.loader.files import is_inside
from reconciler.loader.manifest_set import ManifestSet
from reconciler.loader.manifests import Document, SourceFile
from reconciler.loader.wording import Path, dotted
from reconciler.model.errors import ManifestError
from reconciler.model.kinds.site import (
    SSH,
    Admitted,
    Credentials,
    KeyRef,
    Lab,
    Reconciling,
    SecretFrom,
    Site,
    VCenter,
)
from reconciler.model.refs import Kind
from reconciler.model.units import parse_duration

LAB_DIRECTORY = ".vdvs-lab"
SSH_USER, CONNECT_TIMEOUT, CONCURRENCY, INTERVAL = "root", "10s", 64, "30s"
_REFERENCES = frozenset(("secretKeyRef", "configMapKeyRef"))


def build(manifests: ManifestSet) -> Iterator[tuple[Document, Site]]:
    """Yield the Site, if it may be used: see `unusable`. Further ones are errors."""
    for document in manifests.documents[Kind.SITE][:1]:
        if unusable(document, manifests.given_site) is None:
            manifests.errors += unreadable(document)
            yield document, site(document)


def check(manifests: ManifestSet) -> Iterator[ManifestError]:
    """Check all Sites."""
    for document in manifests.documents[Kind.SITE]:
        yield from contradictions(document)


def unusable(document: Document, given_site: str | None) -> str | None:
    """Return why this Site is not used, where `given_site` is the path of --site; None: it is."""
    if given_site is not None:
        return None if document.file.path == given_site else "--site (or VDVS_SITE) names another one"
    if "ssh" in document.spec or "vsphere" in document.spec:
        return "hosts and vCenters, and the logins to them, are taken from --site FILE (or VDVS_SITE) only"
    folder = os.path.realpath(document.file.folder)
    for path, default in ((("lab", "directory"), LAB_DIRECTORY), (("inventory", "file"), None)):
        value = document.spec.get(path[0], {}).get(path[1], default)
        if value is not None and not _is_below(os.path.realpath(_absolute(folder, value)), folder):
            where = dotted(("spec", *path))
            return f"{where} leads out of its folder, which only a Site given with --site FILE (or VDVS_SITE) may"
    return None


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(os.path.join(folder, ""))


def unreadable(document: Document) -> Iterator[ManifestError]:
    """Yield an error for each reference to the API server in a Site that is in a file."""
    spec = document.spec if isinstance(document.file, SourceFile) else {}
    ssh = spec.get("ssh", {})
    places: list[tuple[Path, dict[str, Any], str]] = [
        (("spec", "ssh", field), ssh[field], f"write {field.removesuffix('From')}File")
        for field in ("identityFrom", "knownHostsFrom")
        if field in ssh
    ]
    logins: list[tuple[Path, dict[str, Any]]] = [(("spec", "ssh"), ssh)]
    logins += [(("spec", "vsphere", number), given) for number, given in enumerate(spec.get("vsphere", ()))]
    for path, given in logins:
        if "caFrom" in given:
            places.append(((*path, "caFrom"), given["caFrom"], "write caFile"))
        for field, where in given.get("credentials", {}).items():
            places.append(((*path, "credentials", field), where, "write env or file"))
    for path, where, instead in places:
        for key in _REFERENCES & where.keys():
            yield document.error((*path, key), f"only `vdvs operator` can read it; {instead}")


def contradictions(document: Document) -> Iterator[ManifestError]:
    """Yield errors unless there is one way to the hosts, one account on them, and one source of names; and of each key
    and certificate one source."""
    spec = document.spec
    for number, given in enumerate(spec.get("allow", {}).get("namespaces", ())):
        if ("names" in given) == ("matchLabels" in given):
            message = "namespaces are chosen by names or by matchLabels; give one of them"
            yield document.error(("spec", "allow", "namespaces", number), message)
    both: list[tuple[Path, dict[str, Any], str]] = [
        (("spec", "vsphere", number), given, "ca") for number, given in enumerate(spec.get("vsphere", ()))
    ]
    both += [(("spec", "ssh"), spec.get("ssh", {}), field) for field in ("identity", "knownHosts")]
    for path, given, field in both:
        if f"{field}File" in given and f"{field}From" in given:
            yield document.error((*path, f"{field}From"), f"leave out {field}File or {field}From")
    if "inventory" in spec and "vsphere" in spec:
        message = "names are looked up in vCenters or in a file; leave out vsphere or inventory"
        yield document.error(("spec", "inventory"), message)
    if "inventory" in spec and document.file.top is not None:
        named = os.path.realpath(_absolute(document.file.folder, spec["inventory"]["file"]))
        if not is_inside(named, document.file.top):
            message = "leads out of the folder of the manifests; a Site that may read elsewhere is given with --site"
            yield document.error(("spec", "inventory", "file"), message)
    if "ssh" not in spec:
        return
    if "lab" in spec:
        yield document.error(("spec", "lab"), "the hosts are those of a lab, or reached by SSH; leave out lab or ssh")
    elif "inventory" not in spec and "vsphere" not in spec:
        message = 'hosts reached by SSH need "vsphere", or an "inventory" file, to look up VMs and datastores'
        yield document.error(("spec", "ssh"), message)
    elif spec["ssh"].get("service") == "Manage" and "vsphere" not in spec:
        message = "only a vCenter can start and stop the SSH service of hosts; give spec.vsphere too"
        yield document.error(("spec", "ssh", "service"), message)
    if "user" in spec["ssh"] and "usernameFrom" in spec["ssh"].get("credentials", {}):
        path = ("spec", "ssh", "credentials", "usernameFrom")
        yield document.error(path, "the account is named by spec.ssh.user already; leave out one of them")


def site(document: Document) -> Site:
    """Build one Site."""
    spec, folder = document.spec, document.file.folder
    inventory = spec.get("inventory")
    allowed = spec.get("allow", {}).get("hosts")
    return Site(
        name=document.data["metadata"]["name"],
        source=document.source,
        way=_ssh(document) if "ssh" in spec else _lab(spec.get("lab", {}), folder),
        vcenters=tuple(_vcenter(given, folder) for given in spec.get("vsphere", ())),
        inventory_file=None if inventory is None else _absolute(folder, inventory["file"]),
        allowed_hosts=None if allowed is None else tuple(allowed),
        admitted=tuple(_admitted(given) for given in spec.get("allow", {}).get("namespaces", ())),
        reconcile=_reconciling(spec.get("reconcile", {})),
        deletion_policy=spec.get("deletionPolicy", "Retain"),
        repository_url=spec.get("repositoryURL"),
    )


def _admitted(given: dict[str, Any]) -> Admitted:
    names, labels, config_dbs = given.get("names"), given.get("matchLabels"), given.get("configDBs")
    kinds, datastores, folders, vmgroups = (
        tuple(given.get(field, ())) for field in ("kinds", "datastores", "folders", "vmgroups")
    )
    return Admitted(
        None if names is None else tuple(names),
        None if labels is None else tuple(sorted(labels.items())),
        kinds,
        datastores,
        folders,
        vmgroups,
        None if config_dbs is None else tuple(config_dbs),
    )


def _reconciling(given: dict[str, Any]) -> Reconciling:
    most = given.get("maxChanges")
    return Reconciling(
        mode=given.get("mode", "report"),
        auto_apply=tuple(given.get("autoApply", ())),
        max_changes=None if most is None else str(most),
        interval=int(parse_duration(given.get("interval", INTERVAL))),
    )


def _lab(lab: dict[str, Any], folder: str) -> Lab:
    return Lab(_absolute(folder, lab.get("directory", LAB_DIRECTORY)))


def _ssh(document: Document) -> SSH:
    ssh, folder = document.spec["ssh"], document.file.folder
    identity, known = ssh.get("identityFile"), ssh.get("knownHostsFile")
    return SSH(
        user=ssh.get("user", SSH_USER),
        port=ssh.get("port"),
        identity_file=None if identity is None else _absolute(folder, identity),
        known_hosts_file=None if known is None else _absolute(folder, known),
        credentials=_credentials(ssh.get("credentials", {}), folder),
        connect_timeout=int(parse_duration(ssh.get("connectTimeout", CONNECT_TIMEOUT))),
        concurrency=ssh.get("concurrency", CONCURRENCY),
        ignore_host_keys=ssh.get("insecureIgnoreHostKey", False),
        manage_service=ssh.get("service") == "Manage",
        legacy_algorithms=tuple(ssh.get("legacyAlgorithms", ())),
        identity_source=None if identity is None else document.locate(("spec", "ssh", "identityFile")),
        identity=_key_ref(ssh.get("identityFrom")),
        known_hosts=_key_ref(ssh.get("knownHostsFrom")),
    )


def _vcenter(given: dict[str, Any], folder: str) -> VCenter:
    authority = given.get("caFile")
    return VCenter(
        server=given["server"],
        port=given.get("port", 443),
        credentials=_credentials(given["credentials"], folder),
        ca_file=None if authority is None else _absolute(folder, authority),
        thumbprint=given.get("thumbprint"),
        ca=_key_ref(given.get("caFrom")),
    )


def _credentials(given: dict[str, dict[str, Any]], folder: str) -> Credentials:
    return Credentials(*(_secret_from(given.get(key), folder) for key in ("usernameFrom", "passwordFrom")))


def _secret_from(given: dict[str, Any] | None, folder: str) -> SecretFrom | None:
    if given is None:
        return None
    return SecretFrom(
        env=given.get("env"),
        file=_absolute(folder, given["file"]) if "file" in given else None,
        ref=_key_ref(given),
    )


def _key_ref(given: dict[str, Any] | None) -> KeyRef | None:
    for field in _REFERENCES & (given or {}).keys():
        ref = (given or {})[field]
        return KeyRef("Secret" if field == "secretKeyRef" else "ConfigMap", ref["name"], ref["key"])
    return None


def _absolute(folder: str, path: str) -> str:
    """Resolve `path` relative to `folder`; `~` is the home of the user who runs vdvs."""
    return os.path.abspath(os.path.join(folder, os.path.expanduser(path)))
