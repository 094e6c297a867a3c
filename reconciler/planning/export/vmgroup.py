"""A vmgroup of a config DB as a manifest: each field whole or not at all, so that nothing is ever half declared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from reconciler.model.diff import Value
from reconciler.model.export import FieldPath
from reconciler.model.inventory import Inventory
from reconciler.model.kinds import vmgroup
from reconciler.model.kinds.vmgroup import Access
from reconciler.model.refs import ALL_DS_URL, DEFAULT_VMGROUP, DEFAULT_VMGROUP_UUID
from reconciler.model.units import format_size
from reconciler.planning.export.expressible import MOST, DatastoreSpelling, expressible, pinnable
from reconciler.planning.spelling import access_value
from reconciler.planning.vmgroup.state import VMGroupState


class Vocabulary:
    """Names that manifests may use, and those that are taken: a UUID is pinned once, a VM is listed once."""

    def __init__(self, inventory: Inventory) -> None:
        self.datastores = DatastoreSpelling(inventory.datastores)
        self.vms = inventory.vm_names()
        self.twins = {uuid for uuid, number in Counter(vm.uuid for vm in inventory.vms).items() if number > 1}
        self.pinned: set[str] = set()
        self.listed: set[str] = set()


@dataclass(slots=True)
class Draft:
    """A spec under construction: what can be expressed, and why the rest cannot."""

    spec: dict[str, Value] = field(default_factory=dict)
    comments: dict[FieldPath, str] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)


def why_not_at_all(state: VMGroupState) -> str | None:
    """Return why no manifest can describe this vmgroup, or None."""
    if not expressible("vmgroup", state.name):
        return "no manifest can express its name, so all of it"
    if (why := vmgroup.why_not_vmgroup_name(state.name)) is not None:
        return f"a manifest must not name it so ({why}), so all of it"
    if state.name == DEFAULT_VMGROUP and state.uuid != DEFAULT_VMGROUP_UUID:
        return f"its uuid is {state.uuid}, not that of {DEFAULT_VMGROUP}, so all of it but its presence"
    return None


def draft(state: VMGroupState, words: Vocabulary) -> Draft:
    """Express as much of this vmgroup as a manifest can. Claims its UUID and its VMs."""
    made = Draft()
    if state.name != DEFAULT_VMGROUP:
        _uuid(state.uuid, made, words)
    if state.description is None:
        made.left_out.append("description: it is NULL, which vDVS cannot list")
    elif not expressible("description", state.description):
        made.left_out.append("description: it is longer than a manifest's, or has line breaks or control characters")
    else:
        made.spec["description"] = state.description
    _access(state, made, words)
    if state.name != DEFAULT_VMGROUP:
        _vms(state, made, words)
    elif state.members:
        count = len(state.members)
        made.left_out.append(f"vms: {DEFAULT_VMGROUP} has no list, but {count} VMs are listed in it")
    return made


def _uuid(uuid: str, made: Draft, words: Vocabulary) -> None:
    if not pinnable(uuid):
        made.left_out.append(f'uuid: "{uuid}" is not a UUID in lower case')
    elif uuid == DEFAULT_VMGROUP_UUID:
        made.left_out.append(f"uuid: it is that of {DEFAULT_VMGROUP}")
    elif uuid in words.pinned:
        made.left_out.append(f"uuid: {uuid} is that of a vmgroup in another config DB, too")
    else:
        made.spec["uuid"] = uuid
        words.pinned.add(uuid)


def _access(state: VMGroupState, made: Draft, words: Vocabulary) -> None:
    problems = list(_problems_of_access(state, words))
    if problems:
        made.left_out.extend(f"access and defaultDatastore: {problem}" for problem in problems)
        return
    if state.default_url == ALL_DS_URL:
        made.left_out.append("defaultDatastore: _ALL_DS is not one datastore")
    else:
        made.spec["defaultDatastore"] = words.datastores.of(state.default_url or "")
    entries = [(words.datastores.of(url) or "", row) for url, row in state.access.items()]
    made.spec["access"] = [_entry(name, row) for name, row in sorted(entries, key=lambda entry: entry[0])]


def _problems_of_access(state: VMGroupState, words: Vocabulary) -> Iterator[str]:
    yield from _too_many("access", len(state.access))
    if not state.default_url:
        yield "there is no default datastore"
    elif state.default_url not in state.access:
        yield f"there is no access row for the default datastore {state.default_url}"
    for url, row in state.access.items():
        if words.datastores.of(url) is None:
            yield f'"{url}" is neither a datastore of the inventory nor the URL of one'
        elif row is None:
            yield f"the row for {words.datastores.of(url)} has invalid values"
        elif 0 < row.total_mb < row.max_mb:
            sizes = f"volumes of {format_size(row.max_mb)}, but {format_size(row.total_mb)} in all"
            yield f"the row for {words.datastores.of(url)} allows {sizes}"


def _too_many(what: str, number: int) -> Iterator[str]:
    if number > MOST[what]:
        yield f"there are {number:,}, and a manifest lists at most {MOST[what]:,}"


def _entry(datastore: str, row: Access | None) -> Value:
    entry = access_value(row)
    return {"datastore": datastore, **entry} if isinstance(entry, dict) else entry


def _vms(state: VMGroupState, made: Draft, words: Vocabulary) -> None:
    problems = list(_too_many("vms", len(state.members)))
    problems += [problem for uuid in state.members if (problem := _problem_of_vm(uuid, words)) is not None]
    if problems:
        made.left_out.extend(f"vms: {problem}" for problem in problems)
        return
    words.listed.update(state.members)
    names = {uuid: words.vms.get(uuid) for uuid in state.members}
    ordered = sorted(state.members, key=lambda uuid: (names[uuid] or state.members[uuid] or "", uuid))
    made.spec["vms"] = [{"uuid": uuid} for uuid in ordered]
    for position, uuid in enumerate(ordered):
        known = f"{state.members[uuid] or 'a VM'} (not in the inventory)"
        made.comments["spec", "vms", position] = names[uuid] or known


def _problem_of_vm(uuid: str, words: Vocabulary) -> str | None:
    if not pinnable(uuid):
        return f'"{uuid}" is not a BIOS UUID in lower case, so it matches no VM'
    if uuid in words.twins:
        return f"{uuid} is the BIOS UUID of several VMs of the inventory"
    if uuid in words.listed:
        return f"VM {uuid} is in a vmgroup of another config DB, too"
    return None
