"""Conditions: what an assessment means for each object. One state of an object each."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from reconciler.model.outcome import Assessment
from reconciler.planning.conditions import conditions
from reconciler.planning.differ import diff, without_uuid
from reconciler.planning.resolve import resolve
from tests.planning import compact

KNOWN = {"hosts": ["esx1"], "datastores": [{"name": "shared"}, {"name": "other"}], "vms": [{"name": "vm1"}]}
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def found(host: Any = "joined", db: Any = None, vmgroups: Any = None) -> dict[str, str]:
    """`{"host/esx1 Enforced": "True MultiNode", ...}` of a site with one host and one config DB."""
    inventory = compact.inventory(KNOWN)
    configdbs = {"a": {"datastore": "shared"}}
    desired = compact.desired({"hosts": {"esx1": None}, "configdbs": configdbs, "vmgroups": vmgroups})
    resolved = resolve(desired, inventory)
    observed = compact.observed({"hosts": {"esx1": host}, "config_dbs": {"shared": db or {}}}, inventory)
    fresh = {ref: f"new-{ref.name}" for ref in without_uuid(resolved, observed)}
    judged = conditions(Assessment(resolved, observed, diff(resolved, observed, fresh), NOON))
    assert [(c.ref.sort_key, c.type) for c in judged] == sorted((c.ref.sort_key, c.type) for c in judged)
    assert all(condition.message for condition in judged)
    return {f"{condition.ref} {condition.type}": f"{condition.status} {condition.reason}" for condition in judged}


@pytest.mark.parametrize(
    ("setting", "status"),
    [
        ({"value": "INFO/DEBUG"}, None),
        ({"value": "25"}, None),
        ({"error": "cannot be read"}, None),
        ({"value": "info"}, "False BadValue"),
        ({"value": "INFO/verbose"}, "False BadValue"),
        ({"error": "it is not JSON, so vDVS does not start", "fatal": True}, "False BadFile"),
    ],
)
def test_a_log_config_with_which_the_service_does_not_start(setting: dict[str, Any], status: str | None) -> None:
    host = {"is": "joined", "settings": {"service.logLevel": setting}}
    assert found(host).get("host/esx1 ServiceStarts") == status


LINK = "/vmfs/volumes/id-shared/dockvols/vmdkops_config.db"


@pytest.mark.parametrize(
    ("host", "in_sync", "enforced", "persistent"),
    [
        ("joined", "True InSync", "True MultiNode", "True Section"),
        ("open", "False Drifted", "False NotConfigured", "False NoSection"),
        ("unreachable", "Unknown Unknown", "Unknown NoAnswer", "Unknown NoAnswer"),
        (
            {"is": "open", "driver": None, "service": "not installed"},
            "False Drifted",
            "True NoDriver",
            "False NoSection",
        ),
        ({"driver": None, "service": "not installed"}, "True InSync", "True NoDriver", "True Section"),
        (
            {"is": "open", "driver": None, "driver_error": "?"},
            "False Drifted",
            "False NotConfigured",
            "False NoSection",
        ),
        ({"is": "open", "driver": None}, "False Drifted", "False NotConfigured", "False NoSection"),  # it still runs
        ({"is": "open", "db_mode": "SingleNode"}, "False Blocked", "True SingleNode", "False SingleNode"),
        ({"db_mode": "BrokenLink", "db_reason": "Locked"}, "True InSync", "True Locked", "True Section"),
        ({"section": {"form": "other", "runs": None}}, "False Drifted", "True MultiNode", "Unknown CannotTell"),
        (
            {"section": {"form": "not first", "datastore": "id-shared"}},
            "False Drifted",
            "True MultiNode",
            "True Section",
        ),
        (
            {"section": {"form": "not first", "datastore": "id-shared", "runs": None}},
            "False Drifted",
            "True MultiNode",
            "Unknown CannotTell",
        ),
        (
            {"section": {"form": "ours", "datastore": "id-shared", "runs": None, "why": "line 21: auth-db"}},
            "True InSync",
            "True MultiNode",
            "Unknown CannotTell",
        ),
        (
            {"section": {"form": "ours", "datastore": "id-other"}},
            "False Drifted",
            "True MultiNode",
            "False OtherSection",
        ),
        (
            {"section": {"form": "ours", "datastore": "id-shared", "saved": False}},
            "False Drifted",
            "True MultiNode",
            "False NotSaved",
        ),
        ({"secure_boot": True}, "True InSync", "True MultiNode", "False SecureBoot"),
    ],
)
def test_hosts(host: Any, in_sync: str, enforced: str, persistent: str) -> None:
    judged = found(host)
    assert judged["host/esx1 InSync"] == in_sync
    assert judged["host/esx1 Enforced"] == enforced
    assert judged["host/esx1 Persistent"] == persistent
    assert judged["host/esx1 Reachable"] == ("False NoAnswer" if host == "unreachable" else "True Answered")


@pytest.mark.parametrize(
    ("db", "in_sync", "readable", "valid"),
    [
        ({}, "True InSync", "True Read", "True Valid"),
        ({"violations": ["bad"]}, "True InSync", "True Read", "False Violations"),
        ("Locked", "Unknown Unknown", "Unknown Locked", "Unknown Locked"),
        ("HotJournal", "False Drifted", "Unknown HotJournal", "Unknown HotJournal"),
        ("absent", "False Blocked", "False Absent", "Unknown Absent"),
        ("empty", "False Blocked", "False Empty", "Unknown Empty"),
    ],
)
def test_config_dbs(db: Any, in_sync: str, readable: str, valid: str) -> None:
    judged = found(db=db)
    assert judged["configdb/a InSync"] == in_sync
    assert judged["configdb/a Readable"] == readable
    assert judged["configdb/a Valid"] == valid


def test_vmgroups() -> None:
    groups = {
        "there": {},
        "lost": {"vms": ["nobody"]},
        "new": {"defaultDatastore": "shared", "access": {"shared": "mount"}},
    }
    judged = found(db={"vmgroups": {"there": {}, "handmade": {}}}, vmgroups=groups)
    assert judged["vmgroup/there InSync"] == "True InSync"
    assert judged["vmgroup/there Resolved"] == "True Found"
    assert judged["vmgroup/new InSync"] == "False Drifted"
    assert judged["vmgroup/lost InSync"] == "False Blocked"
    assert judged["vmgroup/lost Resolved"] == "False NotFound"
    assert judged["vmgroup/handmade InSync"] == "False NotDeclared"
    assert "vmgroup/handmade Resolved" not in judged
