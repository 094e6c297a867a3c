"""`can-i`: each case of `tests/golden/can_i/cases.yaml` is a question, a site and the answer; also as text and JSON."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from msgspec.structs import replace

from reconciler.planning.lookup import NotFoundError
from reconciler.planning.resolve import resolve
from reconciler.planning.rights.can_i import CanI, Question, can_i, find_datastore, find_vm
from reconciler.planning.rights.decision import Right
from reconciler.render.can_i import can_i_data, can_i_text
from tests.planning import compact
from tests.planning.compact import url_of
from tests.render import schemas

CASES = yaml.safe_load((Path(__file__).parents[1] / "golden" / "can_i" / "cases.yaml").read_text())
FOLDER = Path(__file__).parents[1] / "golden" / "can_i"
ODD = yaml.safe_load((FOLDER / "releases.yaml").read_text())
RELEASES = ["0.13", "0.14", "0.15", "0.16", "0.17", "0.18", "0.21", None]
"""None: a version that could not be read. That of the next release is one row more in each table."""
UPDATE = os.environ.get("UPDATE_GOLDEN")
DB = {"vmgroups": {"g1": {"vms": ["vm1"]}}}


def answer(case: Mapping[str, Any]) -> CanI:
    known = compact.inventory(
        {
            "hosts": ["esx1", "esx2"],
            "datastores": [{"name": name} for name in ("shared", "ds2", "at@ds", "o'ds")],
            "vms": [{"name": "vm1", "host": case.get("host", "esx1")}],
        }
    )
    hosts: dict[str, Any] = {"esx1": {}, "esx2": {}}
    declared = compact.desired({"hosts": hosts, "configdbs": {"shared": {"datastore": "shared"}}})
    seen = {"esx1": "joined", "esx2": "joined"} | case.get("hosts", {})
    driver = case.get("driver", "0.17.aa-0.0.1")
    driver = driver if driver is not None else {"driver": None, "driver_error": "esxcli: exit code 1"}
    plain = {name: host if host == "unreachable" else _with(host, driver) for name, host in seen.items()}
    observed = compact.observed({"hosts": plain, "config_dbs": {"shared": case.get("db", DB)}}, known)
    missing = {url_of(name) for name in case.get("missing", ())}
    stores = {url: replace(store, missing=url in missing) for url, store in observed.datastores.items()}
    observed = replace(observed, datastores=stores)
    right, store, *short = case["ask"]
    place = {"datastore": case["place"]} if "place" in case else {}
    vm = known.vms[0]._replace(**place)
    found = find_datastore(known, store)
    question = Question(Right(right), vm, found, 100, bool(short), other_case=found.name != store)
    return can_i(question, resolve(declared, known), observed)


def _with(host: str | Mapping[str, Any], driver: str | dict[str, Any]) -> dict[str, Any]:
    return (driver if isinstance(driver, dict) else {"driver": driver}) | (
        {"is": host} if isinstance(host, str) else dict(host)
    )


@pytest.mark.parametrize("case", [pytest.param(case, id=case["case"]) for case in CASES])
def test_golden(case: Mapping[str, Any]) -> None:
    found = answer(case)
    expected = dict(case["expect"])
    first = found.verdicts[0]
    shown = {
        "answer": found.answer.value,
        "rule": first.rule,
        "reason": first.reason,
        "vmgroup": first.vmgroup,
        "looked_up": list(first.looked_up),
        "used": first.used_mb,
        "state": first.state,
        "hosts": [list(verdict.hosts) for verdict in found.verdicts],
    }
    assert {key: shown[key] for key in expected} == expected
    schemas.check("can-i", can_i_data(found))
    text = can_i_text(found)
    assert text.startswith(f"{found.answer.value}   vm1: ")
    assert all(verdict.reason in text for verdict in found.verdicts)


def table(case: Mapping[str, Any]) -> str:
    """The answers to every right, by full and by short name, a row for each release."""
    asked = [(right, short) for short in ((), ("short",)) for right in Right]
    lines = [["release", *(f"{right}{' short' if short else ''}" for right, short in asked)]]
    for release in RELEASES:
        driver = {"driver": release and f"{release}.aa-0.0.1"}
        answers = [
            answer({**case, **driver, "ask": [right, case.get("store", "shared"), *short]}) for right, short in asked
        ]
        lines.append([release or "unknown", *(found.answer.value for found in answers)])
    return "".join("  ".join(f"{cell:<12}" for cell in line).rstrip() + "\n" for line in lines)


@pytest.mark.parametrize("case", [pytest.param(case, id=case["case"]) for case in ODD])
def test_every_release(case: Mapping[str, Any]) -> None:
    """What the original's code answered; `UPDATE_GOLDEN=1` writes the tables anew."""
    path = FOLDER / "releases" / f"{case['case'].replace(' ', '-')}.txt"
    found = table(case)
    if UPDATE:
        path.parent.mkdir(exist_ok=True)
        path.write_text(found)
    assert found == path.read_text()


def test_a_vm_is_named_in_three_ways() -> None:
    uuid = "564d865d-9979-5dd2-aeac-9a90bfbdfcb7"
    known = compact.inventory({"hosts": [], "datastores": [], "vms": [{"name": "vm1", "uuid": uuid}, {"name": "vm2"}]})
    assert [find_vm(known, name) for name in ("vm1", uuid.upper(), "/DC0/vm/vm1")] == [known.vms[0]] * 3
    assert find_vm(known, uuid.replace("5", "6")) is None
    with pytest.raises(NotFoundError, match='no VM "vm3"'):
        find_vm(known, "vm3")


def test_a_datastore_is_named_in_any_case_unless_that_is_ambiguous() -> None:
    names = ["shared", "Twin", "TWIN"]
    known = compact.inventory({"hosts": [], "datastores": [{"name": name} for name in names], "vms": []})
    assert find_datastore(known, "SHARED").name == "shared"
    assert find_datastore(known, "Twin").name == "Twin"
    with pytest.raises(NotFoundError, match="may be any of TWIN, Twin"):
        find_datastore(known, "twin")
