"""Output compared whole with files. A new case is a new folder: its JSON is the input, its text what must come out.

golden/render/diff/CASE/{diff.json,diff.txt}       golden/render/apply/CASE/{apply.json,apply.txt}
golden/render/sites/SITE/*.txt                     a function of sites.py, rendered in every way

`UPDATE_GOLDEN=1 pytest tests/render` writes the text files anew; read their diff.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from reconciler.model.base import Risk
from reconciler.model.diff import Cause, Change, Diff, Effect, FieldChange, Op, RightsChange, Standing
from reconciler.model.events import Lasting, Since
from reconciler.model.inventory import ESXiHost
from reconciler.model.outcome import Assessment, BackupMade, ObjectResult, Outcome, Status
from reconciler.model.ownership import Applying, RecordObject, Stamp
from reconciler.model.plan import Plan
from reconciler.model.refs import KINDS, RECONCILED, Kind, ObjectRef
from reconciler.planning.joined import Joined
from reconciler.planning.records.history import history
from reconciler.render import data, tables
from reconciler.render.describe import describe_data, describe_text
from reconciler.render.diff import diff_text
from reconciler.render.graph import graph
from reconciler.render.graph.dot import dot_text
from reconciler.render.graph.mermaid import mermaid_text
from reconciler.render.graph.svg import svg_text
from reconciler.render.graph.tree import tree_text
from reconciler.render.history import history_data, history_text
from reconciler.render.kinds import VIEWS
from reconciler.render.page.access import AccessMap
from reconciler.render.page.commands import NO_COMMANDS, Commands
from reconciler.render.page.look import Look
from reconciler.render.results import outcome_text
from reconciler.render.status import Overview, overview_data, status_data, status_text
from tests.render import schemas, sites

UPDATE = os.environ.get("UPDATE_GOLDEN")
GOLDEN = Path(__file__).parents[1] / "golden" / "render"
BY_NAME = {spec.singular: kind for kind, spec in KINDS.items()}
SITES: dict[str, Callable[[], Assessment]] = {
    "in-sync": sites.in_sync,
    "troubled": sites.troubled,
    "policies": sites.policies,
    "volumes": sites.volumes,
}


def check_text(path: Path, text: str) -> None:
    if UPDATE:
        path.write_text(text)
    assert text == path.read_text(), f"{path} differs; UPDATE_GOLDEN=1 writes it anew"


def cases(folder: str) -> list[Path]:
    found = sorted(path for path in (GOLDEN / folder).iterdir() if path.is_dir())
    assert found, f"no cases in {folder}"
    return found


HOST_STATES = (Standing.OPEN, Standing.UNREACHABLE)


def ref(text: str) -> ObjectRef:
    kind, name = text.split("/", 1)
    return ObjectRef(BY_NAME[kind], name)


def fields(items: list[dict[str, Any]]) -> tuple[FieldChange, ...]:
    return tuple(FieldChange(item["path"], item["before"], item["after"]) for item in items)


def change(item: dict[str, Any]) -> Change:
    op, risk = Op(item["op"]), Risk(item["risk"])
    return Change(
        ref(item["object"]),
        op,
        item["reason"],
        fields(item["fields"]),
        risk=risk,
        notes=tuple(item["notes"]),
        rights=rights(item["rights"]),
        claim=item["claim"] or "",
        effect=Effect(item["effect"] or "neither"),
        cause=Cause(item["cause"] or "unknown"),
        host_state=Standing(item["standing"]) if item["standing"] in HOST_STATES else None,
    )


def rights(items: list[dict[str, Any]]) -> tuple[RightsChange, ...]:
    empty = {"where": "", "releases": ""}
    return tuple(RightsChange(**{key: value or empty.get(key, value) for key, value in item.items()}) for item in items)


def diff_of(told: dict[str, Any]) -> Diff:
    shown = [change(item) for item in told["changes"]]
    silent = told["summary"]["keep"] - sum(each.op is Op.KEEP for each in shown)
    kept = [Change(ObjectRef(Kind.HOST, f"kept-{n}"), Op.KEEP, "as declared") for n in range(silent)]
    return Diff(tuple(recording(each) if str(each.ref) in told["recorded"] else each for each in (*shown, *kept)))


def recording(change: Change) -> Change:
    action = RecordObject(change.ref, Risk.SAFE, str(change.ref), None, "acme/site:manifests", "d1")
    return replace(change, actions=(*change.actions, action))


def behalf(told: dict[str, Any]) -> Applying:
    git = told["git"] or {"commit": None, "dirty": False}
    return Applying(told["set"] or "", Stamp("ann@ws", "", git["commit"], git["dirty"]))


@pytest.mark.parametrize("case", cases("diff"), ids=lambda path: path.name)
def test_a_diff(case: Path) -> None:
    told = json.loads((case / "diff.json").read_text())
    schemas.check("diff", told)
    assert data.diff_data(diff_of(told), behalf(told)) == told
    text = diff_text(diff_of(told), "site lab   2 hosts   1 config DB   git 4f2c1ab")
    check_text(case / "diff.txt", text)


@pytest.mark.parametrize("case", cases("apply"), ids=lambda path: path.name)
def test_an_apply(case: Path) -> None:
    told = json.loads((case / "apply.json").read_text())
    schemas.check("apply", told)
    results = tuple(
        ObjectResult(
            ref(item["object"]),
            Status(item["status"]),
            item["detail"],
            fields(item["fields"]),
            rights(item["rights"]),
            item["claim"] or "",
        )
        for item in told["objects"]
    )
    outcome = Outcome(
        sites.in_sync(),
        Plan((), ()),
        (),
        None,
        results,
        backups=tuple(BackupMade(ref(copy["object"]), copy["name"]) for copy in told["backups"]),
        verified_from=tuple(told["verifiedFrom"]),
    )
    assert data.outcome_data(outcome, behalf(told), told["seconds"]) == told
    check_text(case / "apply.txt", outcome_text(outcome, told["seconds"]))


def overview(found: Assessment) -> Overview:
    """What `vdvs status` shows, where a watch has kept since when everything differs."""
    wrong = [change for change in found.diff.changes if change.counts]
    since = [Since(sites.WHEN - timedelta(hours=hours), seen=hours > 2) for hours in range(1, len(wrong) + 1)]
    lasting = {change.ref: Lasting(change.standing, at, at) for change, at in zip(wrong, since, strict=True)}
    return Overview("lab", Look(found, None, Commands(())), sites.judged(found), lasting)


def views(found: Assessment) -> dict[str, str]:
    """Everything that can be shown of a site, by the name of the file that has it."""
    shown = {"status.txt": status_text(overview(found))}
    told = history(found.resolved, found.observed)
    shown["history.txt"] = history_text(told)
    drawn = graph(AccessMap(Look(found, None, NO_COMMANDS)))
    shown |= {"graph.txt": tree_text(drawn), "graph.dot": dot_text(drawn), "graph.mmd": mermaid_text(drawn)}
    shown["graph.svg"] = svg_text(drawn, "Rights in site lab")
    for name, table in tables.TABLES.items():
        rows = table.rows(Joined(found), None)
        shown[f"get-{name}.txt"] = tables.table_text(table, rows)
        shown[f"get-{name}-wide.txt"] = tables.table_text(table, rows, wide=True)
        shown[f"get-{name}-name.txt"] = tables.names_text(table, rows)
    for kind in VIEWS:
        listed = tables.rows(Joined(found), kind)
        name = kind.value.lower()
        for row in listed if KINDS[kind].on_datastore else listed[:2]:
            conditions = [condition for condition in sites.judged(found) if condition.ref == row.change.ref]
            shown[f"describe-{name}-{listed.index(row)}.txt"] = describe_text(row, conditions)
    return shown


@pytest.mark.parametrize("site", SITES)
def test_a_site_as_text(site: str) -> None:
    shown = views(SITES[site]())
    folder = GOLDEN / "sites" / site
    for name, text in shown.items():
        check_text(folder / name, text)
    assert shown.keys() == {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("site", SITES)
def test_a_site_as_data(site: str) -> None:
    found = SITES[site]()
    conditions = sites.judged(found)
    schemas.check("history", history_data(history(found.resolved, found.observed)))
    schemas.check("status", status_data("lab", found, conditions))
    schemas.check("status", overview_data(overview(found)))
    for table in tables.TABLES.values():
        schemas.check("get", tables.items_data(map(table.data, table.rows(Joined(found), None))))
    for kind in VIEWS:
        for row in tables.rows(Joined(found), kind):
            schemas.check("describe", describe_data(row, conditions))


@pytest.mark.parametrize(
    ("told", "entered", "service"),
    [
        ({}, None, None),
        ({"entered_by_vdvs": True, "ssh_runs": True}, True, "running"),
        ({"entered_by_vdvs": False, "ssh_runs": False}, False, "stopped"),
    ],
)
def test_what_vcenter_says_of_a_host_as_data(told: dict[str, Any], entered: bool | None, service: str | None) -> None:
    entry = replace(ESXiHost("esxiz10"), **told)
    found = sites.in_sync()
    hosts = tuple(replace(host, entry=entry) for host in found.resolved.hosts)
    listed = tables.rows(Joined(replace(found, resolved=replace(found.resolved, hosts=hosts))), Kind.HOST)
    schemas.check("get", tables.items_data(map(tables.row_data, listed)))
    shown = tables.row_data(listed[0])["vcenter"]
    assert (shown["enteredByVdvs"], shown["sshService"]) == (entered, service)


@pytest.mark.parametrize("name", schemas.names())
def test_the_schemas_themselves(name: str) -> None:
    schemas.check_schema(name)


def test_every_kind_that_is_applied_is_shown_in_the_order_of_output() -> None:
    assert tuple(VIEWS) == RECONCILED
