"""Admission: the Site of an object, and what its namespace may declare and name there. Nothing that a Site does not
allow has any effect on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from reconciler.loader.manifest_set import is_within
from reconciler.loader.manifests import Document
from reconciler.loader.objects import Bounds
from reconciler.loader.wording import Path, quoted
from reconciler.model.errors import ManifestError, Refusal
from reconciler.model.kinds.site import ALL, Admitted, Site, matches
from reconciler.model.refs import DEFAULT_VMGROUP, KINDS, Kind

Labels: TypeAlias = Mapping[str, str]
_WHERE = "spec.allow.namespaces of Site {}"


class NotHereError(Exception):
    """An object that belongs to no Site. `str()` says why."""

    def __init__(self, reason: Refusal, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def site_of(document: Document, labels: Labels, sites: Mapping[str, Site | None]) -> str:
    """Return the name of the Site that an object belongs to: the one that it names, or the only one that admits its
    namespace. `sites`: None for one that cannot be used. Raises NotHereError."""
    namespace, named = document.namespace, str(document.spec.get("site", ""))
    if not named:
        found = [name for name, site in sites.items() if site is not None and _rules(site, namespace, labels)]
        if len(found) > 1:
            several = " and ".join(sorted(found))
            message = f"spec.site: is missing; the Sites {several} all admit the namespace {namespace}; name one"
            raise NotHereError(Refusal.INVALID, message)
        if not found:
            some = "Site that can be used" if None in sites.values() else "Site"
            message = f"no {some} admits the namespace {namespace}; spec.allow.namespaces of a Site can"
            raise NotHereError(Refusal.NOT_ALLOWED, message)
        named = found[0]
    elif named not in sites:
        raise NotHereError(Refusal.INVALID, f"spec.site: there is no Site {quoted(named)}")
    site = sites[named]
    if site is None:
        return named
    rules = _rules(site, namespace, labels)
    if not rules:
        message = f"{_WHERE.format(named)} does not admit the namespace {namespace}"
        raise NotHereError(Refusal.NOT_ALLOWED, message)
    if document.kind is not None and not _may_be(rules, document.kind):
        message = f"{_WHERE.format(named)} allows no {KINDS[document.kind].nouns} in the namespace {namespace}"
        raise NotHereError(Refusal.NOT_ALLOWED, message)
    return named


def bounds_of(document: Document, labels: Labels, site: Site) -> Bounds | None:
    """Return what the vmgroup of an object may have, and that it adopts none but of names that the object may give it,
    and none at all if it may not have every VM; None: anything."""
    rules = _for(document, labels, site)
    folders, names = _folders(rules), _names(document, rules)
    if folders is None and names is None:
        return None
    return Bounds(folders, was="", adopts=names if folders is None and names is not None else ())


def not_allowed(document: Document, labels: Labels, site: Site, config_db: str) -> Iterator[ManifestError]:
    """Yield an error for each thing that the namespace of an object may not name. `config_db`: the only one of the
    site, which is that of an object that names none (empty: there are several)."""
    rules, where = _for(document, labels, site), _WHERE.format(site.name)
    for noun, field, named, patterns in (
        ("datastore", "datastores", _datastores(document.spec), [each for rule in rules for each in rule.datastores]),
        ("ConfigDB", "configDBs", _config_dbs(document, config_db), _allowed_config_dbs(rules)),
        ("vmgroup", "vmgroups", _vmgroups(document), _names(document, rules)),
    ):
        for path, name in named:
            if patterns is not None and not any(matches(name, pattern) for pattern in patterns):
                allowed = ", ".join(map(quoted, patterns)) or "none"
                message = f"{where} does not allow the {noun} {quoted(name)} here ({field}: {allowed})"
                yield document.error(path, message, Refusal.NOT_ALLOWED)
    folders = _folders(rules)
    if document.kind in (Kind.VMGROUP, Kind.MEMBERSHIP, Kind.VOLUME) and folders is not None:
        for path, message in _vms(document, folders):
            yield document.error(path, f"{where} {message}", Refusal.NOT_ALLOWED)


def is_below(path: str, folders: tuple[str, ...]) -> bool:
    """Return whether something of the inventory is one of these folders, or below one."""
    return any(is_within(path, folder) for folder in folders)


def _rules(site: Site, namespace: str, labels: Labels) -> list[Admitted]:
    return [rule for rule in site.admitted if rule.admits(namespace, labels)]


def _may_be(rules: list[Admitted], kind: Kind) -> bool:
    return any(kind.value in rule.kinds or ALL in rule.kinds for rule in rules)


def _for(document: Document, labels: Labels, site: Site) -> list[Admitted]:
    rules = _rules(site, document.namespace, labels)
    return [rule for rule in rules if document.kind is not None and _may_be([rule], document.kind)]


def _folders(rules: list[Admitted]) -> tuple[str, ...] | None:
    """Return the folders whose VMs a vmgroup may have; None: all of them."""
    folders = tuple(folder for rule in rules for folder in rule.folders)
    return None if ALL in folders else folders


def _names(document: Document, rules: list[Admitted]) -> tuple[str, ...] | None:
    """Return patterns of the vmgroups that an object may name; None: any."""
    if document.kind is Kind.VMGROUP and not all(rule.vmgroups for rule in rules):
        return None
    return tuple(pattern for rule in rules for pattern in rule.vmgroups)


def _datastores(spec: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    """Yield the datastores that an object names, however it spells them. What is no datastore is another error."""
    if isinstance(named := spec.get("datastore"), Mapping):
        yield from ((("spec", "datastore", key), value) for key, value in named.items() if isinstance(value, str))
    elif isinstance(named, str):
        yield ("spec", "datastore"), named
    if isinstance(named := spec.get("defaultDatastore"), str):
        yield ("spec", "defaultDatastore"), named
    access = spec.get("access")
    for position, entry in enumerate(access if isinstance(access, list) else ()):
        if isinstance(entry, Mapping) and isinstance(named := entry.get("datastore"), str):
            yield ("spec", "access", position, "datastore"), named


def _allowed_config_dbs(rules: list[Admitted]) -> list[str] | None:
    """Return patterns of the ConfigDBs that an object may be, or be in; None: any."""
    given = [rule.config_dbs for rule in rules]
    return None if None in given else [pattern for patterns in given for pattern in patterns or ()]


def _config_dbs(document: Document, only: str) -> Iterator[tuple[Path, str]]:
    """Yield the ConfigDB that an object is, or is in."""
    if document.kind is Kind.CONFIG_DB:
        yield ("metadata", "name"), str(document.metadata_name)
    elif document.kind in (Kind.VMGROUP, Kind.MEMBERSHIP, Kind.VOLUME) and (
        name := document.spec.get("configDB", only)
    ):
        yield ("spec", "configDB"), str(name)


def _vmgroups(document: Document) -> Iterator[tuple[Path, str]]:
    """Yield the vmgroups that a VMGroup is or was, or that a Membership adds to."""
    if document.kind is Kind.MEMBERSHIP:
        yield ("spec", "vmgroup"), str(document.spec.get("vmgroup"))
    elif document.kind is Kind.VMGROUP:
        yield document.name_path, str(document.name)
        earlier = document.spec.get("previousNames")
        for position, name in enumerate(earlier if isinstance(earlier, list) else ()):
            yield ("spec", "previousNames", position), str(name)


def _vms(document: Document, folders: tuple[str, ...]) -> Iterator[tuple[Path, str]]:
    """Yield what is wrong with the VMs of a vmgroup, or with whose volume it is, as far as its manifest tells. The pass
    looks at the others."""
    allowed = f"folders: {', '.join(map(quoted, folders)) or 'none'}"
    volume = document.kind is Kind.VOLUME
    if (document.spec.get("vmgroup") if volume else document.name) == DEFAULT_VMGROUP:
        path: Path = ("spec", "vmgroup") if volume else document.name_path
        yield path, f"does not allow {DEFAULT_VMGROUP} here, which has VMs of every folder ({allowed})"
    selector, vms = document.spec.get("vmSelector"), document.spec.get("vms")
    if isinstance(selector, Mapping) and not is_below(str(selector.get("folder")), folders):
        folder = quoted(str(selector.get("folder")))
        yield ("spec", "vmSelector", "folder"), f"does not allow VMs of {folder} here ({allowed})"
    named: list[tuple[Path, Any]] = [(("spec", "vm"), vm)] if (vm := document.spec.get("vm")) else []
    named += [(("spec", "vms", position), vm) for position, vm in enumerate(vms if isinstance(vms, list) else ())]
    for path, vm in named:
        place = vm.get("inventoryPath") if isinstance(vm, Mapping) else None
        if not folders or (isinstance(place, str) and not is_below(place, folders)):
            yield path, f"does not allow this VM here ({allowed})"
