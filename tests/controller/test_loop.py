"""What the loop tells, what it may write, and that nothing ends it."""

from __future__ import annotations

from reconciler.model.diff import Change, Op
from reconciler.model.errors import InvalidManifestsError, InventoryError, ManifestError
from reconciler.model.outcome import ObjectResult, Status
from reconciler.model.policy import HEAL, REPORT_ONLY
from reconciler.model.refs import Kind, ObjectRef, Source
from reconciler.model.risk import Risk
from tests.controller.loop import HOST, KEPT, Script, desired, drift, outcome

GOOD = desired()
INVALID = InvalidManifestsError((ManifestError(Source("a.yaml", 3, 1), "host/x", "spec", "wrong"),), 1)


def test_a_site_in_sync_is_quiet() -> None:
    assert Script([(GOOD, outcome(KEPT))] * 3).run() == []


def test_a_drift_is_told_once_and_so_is_its_end() -> None:
    script = Script([(GOOD, outcome(drift()))] * 3 + [(GOOD, outcome(KEPT))] * 2)
    assert script.run() == ["drifted differs", "in sync as its manifest says again"]
    assert script.told[0].event.change == drift()


def test_a_drift_that_becomes_another_is_told_again() -> None:
    script = Script([(GOOD, outcome(drift("a"))), (GOOD, outcome(drift("b")))])
    assert script.run() == ["drifted differs", "drifted differs"]


def test_report_only_writes_nothing() -> None:
    script = Script([(GOOD, outcome(drift()))])
    script.run()
    assert script.policies == [REPORT_ONLY]


def test_what_is_healed_is_told_with_what_it_was() -> None:
    done = ObjectResult(HOST, Status.CONFIGURED, "service running")
    script = Script([(GOOD, outcome(drift(), KEPT, done)), (GOOD, outcome(KEPT))])
    assert script.run(heal=True) == ["drifted differs", "healed service running"]


def test_a_healing_that_fails_is_told_once() -> None:
    failed = ObjectResult(HOST, Status.FAILED, "disk full")
    script = Script([(GOOD, outcome(drift(), drift(), failed))] * 3)
    assert script.run(heal=True) == ["drifted differs", "failed not healed: disk full"]


def test_a_drift_that_may_not_be_healed_says_why() -> None:
    held = ObjectResult(HOST, Status.BLOCKED, "widens access")
    script = Script([(GOOD, outcome(drift(), result=held))] * 2)
    assert script.run(heal=True) == ["drifted differs", "blocked not healed: widens access"]
    assert Script([(GOOD, outcome(drift(), result=held))]).run() == ["drifted differs"]


def test_blocked_unknown_and_unmanaged_have_words_of_their_own() -> None:
    for op in (Op.BLOCKED, Op.UNKNOWN, Op.UNMANAGED):
        change = Change(HOST, op, "why")
        assert Script([(GOOD, outcome(change))] * 2).run() == [f"{op.value} why"]


def test_an_object_that_is_no_longer_declared() -> None:
    other = Change(ObjectRef(Kind.HOST, "other"), Op.KEEP, "as declared")
    script = Script([(GOOD, outcome(drift())), (GOOD, outcome(other))])
    assert script.run() == ["drifted differs", "gone no longer declared, nor found"]


def test_a_vmgroup_whose_config_db_cannot_be_read_is_not_gone() -> None:
    found = Change(ObjectRef(Kind.VMGROUP, "WILD"), Op.UNMANAGED, "created outside the manifests")
    for op in (Op.UNKNOWN, Op.BLOCKED):
        unread = Change(ObjectRef(Kind.CONFIG_DB, "shared"), op, "locked")
        read = Change(unread.ref, Op.KEEP, "as declared")
        script = Script([(GOOD, outcome(change)) for change in (found, unread, found, unread, read)])
        told = [line for line, event in zip(script.run(), script.told, strict=True) if event.event.ref == found.ref]
        assert told == ["unmanaged created outside the manifests", "gone no longer declared, nor found"]
        assert script.told[-1].event.kind == "gone"


def test_a_pass_that_fails_is_told_once_and_tried_again() -> None:
    down = InventoryError("vCenter does not answer")
    script = Script([(GOOD, down), (GOOD, down), (GOOD, outcome(drift())), (GOOD, outcome(drift()))])
    assert script.run() == [
        "pass failed vCenter does not answer",
        "pass works the site can be looked at again",
        "drifted differs",
    ]


def test_a_bug_does_not_end_the_watch() -> None:
    script = Script([(GOOD, KeyError("oops")), (GOOD, outcome(KEPT))])
    first, second = script.run()
    assert first == "pass failed this is a bug in vdvs, please report it (KeyError: 'oops')"
    assert second.startswith("pass works")


def test_invalid_manifests_leave_the_last_good_ones_in_force() -> None:
    newer = desired(address="other.lab.local")
    script = Script([(newer, outcome(KEPT)), (INVALID, outcome(KEPT)), (INVALID, outcome(KEPT)), (GOOD, outcome(KEPT))])
    assert script.run() == [
        "invalid the last good manifests stay in force\na.yaml:3:1: host/x: spec: wrong",
        "valid the manifests are valid again",
    ]
    assert script.used == [newer, newer, newer, GOOD]


def test_manifests_that_cannot_be_read() -> None:
    script = Script([(OSError(5, "I/O error"), outcome(KEPT)), (RuntimeError("no idea"), outcome(KEPT))])
    assert [line.split()[0] for line in script.run()] == ["invalid", "invalid"]
    assert script.used == [GOOD, GOOD]


def test_healing_is_limited_to_what_is_harmless_and_was_applied_before() -> None:
    script = Script([(GOOD, outcome(KEPT)), (desired(address="other.lab.local"), outcome(drift()))])
    script.run(heal=True)
    assert script.policies == [HEAL, HEAL]
    assert HEAL.risks == {Risk.SAFE, Risk.RESTRICTS}
    assert HEAL.only_applied
    assert not HEAL.create_config_db
