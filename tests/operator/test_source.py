"""Objects of an API server as manifests."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import pytest
import yaml
from msgspec import convert
from msgspec.structs import replace

from reconciler.controller.narrowing import narrowed
from reconciler.controller.watch import NOTHING
from reconciler.loader import load
from reconciler.loader.manifest_set import ManifestSet
from reconciler.model.kinds.site import Lab, Site
from reconciler.model.refs import Kind, Source
from reconciler.model.state import Desired
from reconciler.operator.admission import NotHereError
from reconciler.operator.connection.objects import KubeObject
from reconciler.operator.keys import ObjectKey
from reconciler.operator.source import NO_SITE, ObjectsByKind, SiteObjects, Sources, source

MANIFESTS = Path(__file__).parents[2] / "manifests"
CLUSTER = "0f2d53d7-091e-4b04-a6b0-1d2a43c454eb"


def as_objects(documents: list[dict[str, Any]], namespace: str = "vdvs") -> ObjectsByKind:
    """The documents as an API server gives them."""
    found: dict[Kind, dict[tuple[str, str], KubeObject]] = {kind: {} for kind in Kind}
    for number, document in enumerate(documents):
        kind, metadata = Kind(document["kind"]), document["metadata"]
        where = "" if kind is Kind.SITE else metadata.get("namespace", namespace)
        added = {
            "namespace": where,
            "uid": f"u{number}",
            "resourceVersion": str(number),
            "generation": 1,
            "creationTimestamp": f"2026-11-29T10:{number // 60:02}:{number % 60:02}Z",
        }
        given = {
            **document,
            "metadata": {**added, **metadata},
            "status": {"observedGeneration": -1, **document.get("status", {})},
        }
        found[kind][where, metadata["name"]] = convert(given, KubeObject)
    return found


def sourced(*documents: dict[str, Any]) -> SiteObjects:
    (found,) = source(as_objects(list(documents)), {"vdvs": {}}, CLUSTER).values()
    return found


def without_places(desired: Desired) -> Desired:
    """Everything but where, and in which namespace, it is declared."""
    nowhere = load([str(MANIFESTS)]).desired.hosts[0].source

    def moved(items: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(sorted((replace(item, source=nowhere) for item in items), key=lambda item: str(item.ref)))

    return replace(
        desired,
        site=None,
        hosts=moved(desired.hosts),
        config_dbs=moved(desired.config_dbs),
        vmgroups=tuple(replace(each, owner="") for each in moved(desired.vmgroups)),
        files=moved(desired.files),
        digests=tuple(sorted(desired.digests)),
    )


def documents(folder: Path) -> list[dict[str, Any]]:
    return [each for path in sorted(folder.glob("*.yaml")) for each in yaml.safe_load_all(path.read_text())]


def test_objects_declare_what_files_do() -> None:
    found = sourced(*documents(MANIFESTS))
    assert found.held == {}
    assert without_places(found.loaded.desired) == without_places(load([str(MANIFESTS)]).desired)
    assert str(found.refs[ObjectKey(Kind.VMGROUP, "vdvs", "myvmgroup")]) == "vmgroup/MYVMGROUP"
    assert found.loaded.applying is not None
    assert found.loaded.applying.set == f"k8s/{CLUSTER}/lab"


SITE = next(each for each in documents(MANIFESTS) if each["kind"] == "Site")
EVERYTHING = {"kinds": ["*"], "datastores": ["*"], "folders": ["*"]}
TEAM = {"kinds": ["VMGroup", "Volume"], "datastores": ["a-*"], "folders": ["/DC0/vm/a"]}


def site(*namespaces: dict[str, Any], name: str = "lab") -> dict[str, Any]:
    return {**SITE, "metadata": {"name": name}, "spec": {"allow": {"namespaces": list(namespaces)}}}


def thing(kind: str, where: str, spec: Any) -> dict[str, Any]:
    """An object at `namespace/name`."""
    namespace, name = where.split("/")
    return {
        "apiVersion": "vdvs.io/v1",
        "kind": kind,
        "metadata": {"namespace": namespace, "name": name},
        "spec": spec,
    }


def group(where: str, **spec: Any) -> dict[str, Any]:
    return thing("VMGroup", where, spec)


SHARED = thing("ConfigDB", "infra/shared", {"datastore": "SHARED-Datastore"})
INFRA = {"names": ["infra"], **EVERYTHING}
TEAMS = {"matchLabels": {"team": "yes"}, **TEAM}
NAMESPACES = {"infra": {}, "team-a": {"team": "yes"}, "team-b": {"team": "yes"}, "other": {}}


def the_site(*documents: dict[str, Any], admitted: tuple[dict[str, Any], ...] = (INFRA, TEAMS)) -> SiteObjects:
    return source(as_objects([site(*admitted), SHARED, *documents]), NAMESPACES, CLUSTER)["lab"]


def held(found: SiteObjects) -> dict[str, tuple[str, str]]:
    return {str(key): (why.reason.value, why.message) for key, why in found.held.items()}


def declared(found: SiteObjects) -> list[str]:
    return [str(each.ref) for each in found.loaded.desired.objects]


def kept_as_they_are(found: SiteObjects) -> list[str]:
    return [str(each.ref) for each in found.loaded.desired.held]


def test_names_are_unique_in_a_namespace_only_and_the_config_db_is_the_site_s() -> None:
    found = the_site(group("team-a/db", name="a-db"), group("team-b/db", name="b-db", configDB="shared"))
    assert held(found) == {}
    assert declared(found) == ["configdb/shared", "vmgroup/a-db", "vmgroup/b-db"]


def test_the_older_of_two_claims_wins_and_the_other_stays_as_it_is() -> None:
    found = the_site(
        group("team-a/db"),
        group("team-b/db"),
        group("team-a/web", vms=[{"inventoryPath": "/DC0/vm/a/x"}]),
        group("team-b/app", vms=[{"inventoryPath": "/DC0/vm/a/x"}]),
        thing("Host", "infra/one", {"address": "same.lab.local"}),
        thing("Host", "infra/two", {"address": "same.lab.local"}),
    )
    assert held(found) == {
        "vmgroup team-b/db": (
            "Conflict",
            'metadata.name: the vmgroup "db" of this config DB is already declared (vmgroup team-a/db)',
        ),
        "vmgroup team-b/app": (
            "Conflict",
            'spec.vms[0]: VM "/DC0/vm/a/x" is already in vmgroup/web (vmgroup team-a/web)',
        ),
        "host infra/two": (
            "Conflict",
            'spec.address: the address "same.lab.local" is already that of host/one (host infra/one)',
        ),
    }
    assert declared(found) == ["host/one", "configdb/shared", "vmgroup/db", "vmgroup/web"]
    assert sorted(kept_as_they_are(found)) == ["host/two", "vmgroup/app"]


def accepted(document: dict[str, Any], reason: str = "InSync", generation: int = 1, **status: Any) -> dict[str, Any]:
    """The document with the status of one that was accepted, before an edit if `generation` is 0."""
    ready = {"type": "Ready", "status": "True", "reason": reason, "lastTransitionTime": "2026-11-29T10:00:00Z"}
    given = {"site": "lab", "observedGeneration": generation, "conditions": [ready], **status}
    return {**document, "status": given}


def test_nobody_gets_the_name_or_the_vms_of_another_by_editing_an_older_object() -> None:
    vms = [{"inventoryPath": "/DC0/vm/a/x"}]
    theirs = accepted(group("team-b/payments", vms=vms), name="payments")
    message = 'spec.name: the vmgroup "payments" of this config DB is already declared (vmgroup team-b/payments)'
    for edited in (
        accepted(group("team-a/mine", name="payments"), generation=0, name="mine"),
        accepted(group("team-a/mine", name="payments"), "Conflict", name="mine"),
        accepted(group("team-a/mine", name="payments"), "NotAllowed", name="mine"),
        accepted(group("team-a/mine", name="payments"), site="another", name="payments"),
    ):
        for other in (theirs, {**theirs, "status": {**theirs["status"], "observedGeneration": 0}}):  # edited as well
            assert held(the_site(edited, other)) == {"vmgroup team-a/mine": ("Conflict", message)}
    more = accepted(group("team-a/mine", vms=vms), generation=0, name="mine")
    message = 'spec.vms[0]: VM "/DC0/vm/a/x" is already in vmgroup/payments (vmgroup team-b/payments)'
    assert held(the_site(more, theirs)) == {"vmgroup team-a/mine": ("Conflict", message)}


def test_nobody_claims_a_vm_that_cannot_be_in_its_folders() -> None:
    mine, theirs = {"names": ["team-a"], **TEAM}, {"names": ["team-b"], **TEAM, "folders": ["/DC0/vm/b"]}
    squatting, by_path = group("team-b/x", vms=["a-1"]), group("team-b/x", vms=[{"inventoryPath": "/DC0/vm/a/x"}])
    for claim in (accepted(squatting, name="x"), accepted(squatting, "NotAllowed", 0, name="x")):
        assert held(the_site(claim, group("team-a/web", vms=["a-1"]), admitted=(INFRA, mine, theirs))) == {}
    everywhere = INFRA, {**mine, "folders": ["*"]}, theirs
    claim = accepted(squatting, "NotAllowed", name="x")
    assert held(the_site(claim, group("team-a/web", vms=["a-1"]), admitted=everywhere)) == {}
    refused = the_site(accepted(by_path, name="x"), group("team-a/web", **by_path["spec"]), admitted=everywhere)
    assert list(held(refused)) == ["vmgroup team-b/x"]


def test_claims_to_what_nobody_may_have_are_not_compared_with_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any number of objects of one tenant can name the same VM of somebody else."""
    compared: list[object] = []
    monkeypatch.setattr(ManifestSet, "may_share", lambda *two: compared.append(two))
    names = [f"team-b/x{number}" for number in range(40)]
    joining = [{"vmgroup": "x0", "vm": "a-1"}] * 40
    claims = [accepted(group(name, vms=["a-1"]), "NotAllowed", name=name[7:]) for name in names]
    claims += [
        accepted(thing("Membership", name.replace("x", "m"), spec), "NotAllowed")
        for name, spec in zip(names, joining, strict=True)
    ]
    team = {**TEAM, "kinds": ["*"], "vmgroups": ["*"], "names": ["team-b"]}
    assert held(the_site(*claims, group("team-a/web", vms=["a-1"]), admitted=(INFRA, TEAMS, team))) == {}
    assert len(compared) <= len(claims)


def test_nobody_is_held_for_a_previous_name_that_another_takes_later() -> None:
    uuid = "0f2d53d7-091e-4b04-a6b0-1d2a43c454eb"
    renamed = group("team-a/web", name="site", previousNames=["web"])
    for mine in (accepted(renamed, name="site", uuid=uuid), accepted(renamed, generation=0, name="web", uuid=uuid)):
        for other in (group("team-b/x", name="web"), accepted(group("team-b/x", name="web"), "Conflict")):
            assert held(the_site(mine, other)) == {
                "vmgroup team-b/x": (
                    "Conflict",
                    'spec.name: "web" is a previous name of vmgroup/site (vmgroup team-a/web)',
                )
            }
    theirs = accepted(group("team-b/x", name="web"), generation=0, name="web")
    claimed = accepted(group("team-a/old", previousNames=["web"]), generation=0, name="old")
    assert list(held(the_site(claimed, theirs))) == ["vmgroup team-a/old"], "nobody gets it by editing an older object"
    bounded = {"names": ["team-a"], **TEAM, "vmgroups": ["old"]}, {"names": ["team-b"], **TEAM}
    refused = the_site(claimed, group("team-b/web"), admitted=(INFRA, *bounded))
    assert list(held(refused)) == ["vmgroup team-a/old"], "it may not have had that name"


def test_a_status_that_the_mirror_puts_into_an_object_that_it_has_counts() -> None:
    """The mirror makes no new object where nothing but the status is another."""
    vms = [{"inventoryPath": "/DC0/vm/a/x"}]
    objects = as_objects([site(INFRA, TEAMS), SHARED, group("team-a/older", vms=vms), group("team-b/web", vms=vms)])
    read = Sources(CLUSTER)
    assert list(held(read(objects, NAMESPACES)["lab"])) == ["vmgroup team-b/web"]
    objects[Kind.VMGROUP]["team-b", "web"].status |= accepted(group("team-b/web"), name="web")["status"]
    assert list(held(read(objects, NAMESPACES)["lab"])) == ["vmgroup team-a/older"]


def test_what_belongs_to_no_site_keeps_nothing_of_earlier_reads() -> None:
    read, objects = Sources(CLUSTER), as_objects([site(INFRA), SHARED, group("other/stray")])
    gc.collect()
    for _ in range(3):
        assert list(held(read(objects, NAMESPACES)[NO_SITE])) == ["vmgroup other/stray"]
    gc.collect()
    assert not [each for each in gc.get_objects() if isinstance(each, NotHereError)], "it keeps all of its callers"


def test_an_invalid_object_is_held_with_the_path_and_still_claims_its_name() -> None:
    broken = group("team-a/db", name="DB", access=[{"datastore": "a-1"}, {"datastore": "a-2", "allowCreate": 5}])
    found = the_site(broken, group("team-b/db", name="DB"), group("team-b/ok"))
    assert held(found) == {
        "vmgroup team-a/db": (
            "Invalid",
            "spec.access[1].allowCreate: expected true or false, got the number 5",
        ),
        "vmgroup team-b/db": (
            "Conflict",
            'spec.name: the vmgroup "DB" of this config DB is already declared (vmgroup team-a/db)',
        ),
    }
    assert kept_as_they_are(found) == ["vmgroup/DB"]
    assert declared(found) == ["configdb/shared", "vmgroup/ok"]


def test_a_held_vmgroup_of_an_unknown_config_db_is_known_by_its_names() -> None:
    found = the_site(
        group("team-a/db", configDB="nosuch", previousNames=["old"]),
        group("team-b/db", configDB="none", uuid="0F2D53D7-091e-4b04-a6b0-1d2a43c454eb"),
        group("team-b/ok", configDB="shared"),
        group("team-a/number", name=5),
        admitted=(INFRA, {**TEAMS, "folders": ["*"]}),
    )
    told = {str(each.ref): (set(each.known_as), each.certain, each.anywhere) for each in found.loaded.desired.held}
    uuid = "0f2d53d7-091e-4b04-a6b0-1d2a43c454eb"
    assert told["vmgroup/db"] == ({"old", uuid, uuid.replace("0f2d53d7", "0F2D53D7")}, True, True)
    assert [certain for names, certain, _ in told.values() if not names] == [False]


def test_a_held_vmgroup_is_not_known_by_the_names_of_others() -> None:
    uuid = "0f2d53d7-091e-4b04-a6b0-1d2a43c454eb"
    claims = {"previousNames": ["web"], "uuid": uuid, "access": [{"datastore": "b-1"}]}
    found = the_site(group("team-a/thief", **claims), accepted(group("team-b/web", **claims), uuid=uuid))
    assert {each.ref.name: set(each.known_as) for each in found.loaded.desired.held} == {"thief": set(), "web": {uuid}}


def test_what_refers_to_a_held_object_is_held_or_not_looked_up() -> None:
    found = the_site(
        group("team-a/db", configDB="nosuch"),
        thing("Volume", "team-a/v", {"vmgroup": "db", "datastore": "a-1", "access": "read-only"}),
        thing("Volume", "team-b/v", {"vmgroup": "db", "datastore": "a-1", "access": "read-only"}),
    )
    assert held(found)["vmgroup team-a/db"] == ("Invalid", 'spec.configDB: no ConfigDB "nosuch" is declared')
    assert held(found)["volume team-b/v"] == (
        "Invalid",
        'spec.vmgroup: no VMGroup "db" is declared in the namespace team-b',
    )


def test_whoever_claims_the_name_of_another_s_vmgroup_gets_none_of_its_volumes() -> None:
    theirs = accepted(group("team-a/web"), name="web")
    for vmgroup in ("x", "web"):
        volume = {"name": "data", "vmgroup": vmgroup, "datastore": "a-1", "access": "read-write"}
        found = the_site(theirs, group("team-b/x", name="web"), thing("Volume", "team-b/v", volume))
        assert sorted(held(found)) == ["vmgroup team-b/x", "volume team-b/v"]
        assert declared(found) == ["configdb/shared", "vmgroup/web"]


def test_a_namespace_names_only_what_its_site_allows() -> None:
    found = the_site(
        group("team-a/ds", access=[{"datastore": "a-1"}, {"datastore": "b-1"}]),
        group("team-a/all", access=[{"datastore": "_ALL_DS"}]),
        group("team-a/folder", vmSelector={"folder": "/DC0/vm/b"}),
        group("team-a/path", vms=[{"inventoryPath": "/DC0/vm/ab/x"}]),
        group("team-a/everybody", name="_DEFAULT"),
        thing("Volume", "team-a/theirs", {"vmgroup": "_DEFAULT", "datastore": "a-1", "access": "read-write"}),
        group("team-a/mine", access=[{"datastore": "a-1"}], vms=["x"], vmSelector={"folder": "/DC0/vm/a/b"}),
    )
    where = "spec.allow.namespaces of Site lab does not allow"
    assert held(found) == {
        "vmgroup team-a/ds": (
            "NotAllowed",
            f'spec.access[1].datastore: {where} the datastore "b-1" here (datastores: "a-*")',
        ),
        "vmgroup team-a/all": (
            "NotAllowed",
            f'spec.access[0].datastore: {where} the datastore "_ALL_DS" here (datastores: "a-*")',
        ),
        "vmgroup team-a/folder": (
            "NotAllowed",
            f'spec.vmSelector.folder: {where} VMs of "/DC0/vm/b" here (folders: "/DC0/vm/a")',
        ),
        "vmgroup team-a/path": ("NotAllowed", f'spec.vms[0]: {where} this VM here (folders: "/DC0/vm/a")'),
        "vmgroup team-a/everybody": (
            "NotAllowed",
            f'spec.name: {where} _DEFAULT here, which has VMs of every folder (folders: "/DC0/vm/a")',
        ),
        "volume team-a/theirs": (
            "NotAllowed",
            f'spec.vmgroup: {where} _DEFAULT here, which has VMs of every folder (folders: "/DC0/vm/a")',
        ),
    }
    assert [each.folders for each in found.loaded.desired.vmgroups] == [("/DC0/vm/a",)]


def test_a_pattern_has_stars_and_question_marks_and_nothing_else_that_stands_for_others() -> None:
    rule = {"names": ["team-a"], **TEAM, "datastores": ["d[1]-?", "e*"]}
    refused = {}
    for name in ("d[1]-a", "d1-a", "e", "e[", "d[1]-"):
        found = the_site(group("team-a/db", access=[{"datastore": name}]), admitted=(INFRA, rule))
        refused[name] = bool(held(found))
    assert refused == {"d[1]-a": False, "d1-a": True, "e": False, "e[": False, "d[1]-": True}
    reached = Site("lab", Source("", 0, 0), Lab("/lab"), (), None, allowed_hosts=("[ab].Example",))
    assert (reached.allows("a.example"), reached.allows("[AB].example")) == (False, True)


def test_a_namespace_is_in_the_config_dbs_that_its_site_allows() -> None:
    def found(*objects: dict[str, Any], config_dbs: Any = ("a-*",), more: tuple[dict[str, Any], ...] = ()) -> Any:
        rule = {"names": ["team-a"], **EVERYTHING, "vmgroups": ["*"], "configDBs": list(config_dbs)}
        return held(the_site(*objects, admitted=(INFRA, rule, *more)))

    where = "spec.allow.namespaces of Site lab does not allow"
    refused = "NotAllowed", f'spec.configDB: {where} the ConfigDB "shared" here (configDBs: "a-*")'
    vms = {"inventoryPath": "/DC0/vm/a/x"}
    joins = thing("Membership", "team-a/joins", {"vmgroup": "db", "vm": vms, "configDB": "shared"})
    volume = {"vmgroup": "_DEFAULT", "datastore": "a-1", "access": "read-write"}
    assert found(group("team-a/db")) == {"vmgroup team-a/db": refused}, "it is in the only one, which it does not name"
    assert found(group("infra/db", vms=[]), joins) == {"membership team-a/joins": refused}
    assert found(thing("Volume", "team-a/data", volume)) == {"volume team-a/data": refused}
    own = thing("ConfigDB", "team-a/b-own", {"datastore": "b-1", "hosts": {"cluster": "/DC0/host/b"}})
    assert found(own) == {
        "configdb team-a/b-own": (
            "NotAllowed",
            f'metadata.name: {where} the ConfigDB "b-own" here (configDBs: "a-*")',
        )
    }
    mine = thing("ConfigDB", "team-a/a-own", {"datastore": "a-1", "hosts": {"cluster": "/DC0/host/a"}})
    assert found(mine, group("team-a/db", configDB="a-own")) == {}
    assert found(group("team-a/db"), config_dbs=("shared",)) == {}
    assert found(group("team-a/db"), more=({"names": ["team-a"], **EVERYTHING},)) == {}
    none = f'spec.configDB: {where} the ConfigDB "shared" here (configDBs: none)'
    assert found(group("team-a/db"), config_dbs=()) == {"vmgroup team-a/db": ("NotAllowed", none)}


def test_a_config_db_that_is_not_allowed_is_none_of_the_site_unless_it_was_accepted() -> None:
    rule = {"names": ["team-a"], **EVERYTHING, "configDBs": ["a-*"]}
    other = thing("ConfigDB", "team-a/other", {"datastore": "b-1", "hosts": {"cluster": "/DC0/host/b"}})
    found = the_site(group("infra/db"), other, admitted=(INFRA, rule))
    assert list(held(found)) == ["configdb team-a/other"]
    assert declared(found) == ["configdb/shared", "vmgroup/db"]
    assert kept_as_they_are(found) == []
    refused = (accepted(other, "NotAllowed", **more) for more in ({"name": "other"}, {"lastApplied": {"digest": "d"}}))
    for status in (accepted(other), *refused):
        found = the_site(group("infra/db"), status, admitted=(INFRA, rule))
        assert sorted(held(found)) == ["configdb team-a/other", "vmgroup infra/db"]
    assert list(held(the_site(accepted(other, "NotAllowed"), admitted=(INFRA, rule)))) == ["configdb team-a/other"]


def test_what_a_site_does_not_admit_has_no_effect_on_it_unless_it_was_reconciled_there() -> None:
    stranger, former = group("other/db"), {**group("other/was"), "status": {"site": "lab"}}
    objects = as_objects([site(INFRA), SHARED, stranger, former, thing("Host", "infra/ok", {"site": "nosuch"})])
    found = source(objects, NAMESPACES, CLUSTER)
    message = "no Site admits the namespace other; spec.allow.namespaces of a Site can"
    assert held(found["lab"]) == {"vmgroup other/was": ("NotAllowed", message)}
    assert kept_as_they_are(found["lab"]) == ["vmgroup/was"]
    assert held(found[NO_SITE]) == {
        "vmgroup other/db": ("NotAllowed", message),
        "host infra/ok": ("Invalid", 'spec.site: there is no Site "nosuch"'),
    }


def test_the_site_of_an_object_is_the_only_one_that_admits_its_namespace() -> None:
    objects = as_objects([
        site(INFRA), site(INFRA, name="two"), SHARED, group("infra/one", site="two"),
    ])  # fmt: skip
    found = source(objects, NAMESPACES, CLUSTER)
    assert held(found[NO_SITE]) == {
        "configdb infra/shared": (
            "Invalid",
            "spec.site: is missing; the Sites lab and two all admit the namespace infra; name one",
        )
    }
    assert list(found["two"].seen) == [ObjectKey(Kind.SITE, "", "two"), ObjectKey(Kind.VMGROUP, "infra", "one")]


def test_a_kind_that_is_not_allowed() -> None:
    found = source(as_objects([site(TEAMS), thing("Host", "team-a/esx", {})]), NAMESPACES, CLUSTER)
    assert held(found[NO_SITE]) == {
        "host team-a/esx": (
            "NotAllowed",
            "spec.allow.namespaces of Site lab allows no hosts in the namespace team-a",
        )
    }


def test_a_site_that_cannot_be_used_stands_still() -> None:
    wrong = {**SITE, "spec": {"ssh": {}}}
    found = source(as_objects([wrong, SHARED, group("infra/one", site="lab")]), NAMESPACES, CLUSTER)["lab"]
    assert found.loaded is NOTHING
    assert list(held(found)) == ["site lab"]


def test_an_object_that_is_held_from_now_on_is_not_told_to_be_gone() -> None:
    good = group("team-a/db", access=[{"datastore": "a-1"}])
    before = the_site(good, group("team-a/left"))
    now = the_site({**good, "spec": {**good["spec"], "uuid": "no uuid"}})
    told = [str(event.ref) for event in narrowed(before.loaded.desired, now.loaded.desired)]
    assert (list(held(now)), told) == (["vmgroup team-a/db"], ["vmgroup/left"])
    everywhere = the_site(good, admitted=(INFRA, {**TEAMS, "folders": ["*"]}))
    assert list(narrowed(the_site(good).loaded.desired, everywhere.loaded.desired)) == []
