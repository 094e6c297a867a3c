"""Reports and writes of the watch, and that no failure ends it."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import timedelta

import pytest
from msgspec.structs import replace

from reconciler.controller.mode import Mode, parse_limit
from reconciler.controller.watch import Loaded
from reconciler.model.base import Risk
from reconciler.model.diff import Cause, Change, Diff, Effect, FieldChange, Op, RightsChange, Standing
from reconciler.model.errors import InvalidManifestsError, InventoryError, ManifestError
from reconciler.model.events import EventKind, Lasting, ReportedEvent, Since
from reconciler.model.kinds.configdb import Unmanaged
from reconciler.model.outcome import ObjectResult, Outcome, Status
from reconciler.model.plan import HEAL, REPORT_ONLY, Plan
from reconciler.model.refs import Kind, ObjectRef, Source
from reconciler.model.state import Reconcile, Treatment
from reconciler.render.events import event_data, event_text
from tests.controller.loop import HOST, KEPT, START, Script, desired, drift, outcome
from tests.render import sites

GOOD = desired()
HEALS = Mode(heal=True)
LEFT_ALONE = "a watch does not look at it any more"
INVALID = InvalidManifestsError((ManifestError(Source("a.yaml", 3, 1), "host/x", "spec", "wrong"),), 1)


def treated(found: Outcome, ref: ObjectRef) -> Outcome:
    """The outcome where the annotation `disabled` of an object counts, as nothing can say whether it was applied."""
    asked = (Treatment(ref, Reconcile.DISABLED, "without it"),)
    return replace(found, before=replace(found.before, resolved=replace(found.before.resolved, treatments=asked)))


def test_a_site_in_sync_is_quiet() -> None:
    assert Script([(GOOD, outcome(KEPT))] * 3).run() == []


def test_a_drift_and_its_end_are_reported_once() -> None:
    script = Script([(GOOD, outcome(drift()))] * 3 + [(GOOD, outcome(KEPT))] * 2)
    assert script.run() == ["drifted differs", "in sync it matches its manifest again"]
    assert script.heard[0].event.change == drift()


def test_a_drift_that_changes_is_reported_again() -> None:
    script = Script([(GOOD, outcome(drift("a"))), (GOOD, outcome(drift("b")))])
    assert script.run() == ["drifted differs", "drifted differs"]


def test_report_only_writes_nothing() -> None:
    script = Script([(GOOD, outcome(drift()))])
    script.run()
    assert script.policies == [REPORT_ONLY]


def test_a_heal_is_reported_with_the_drift() -> None:
    done = ObjectResult(HOST, Status.CONFIGURED, "service running")
    script = Script([(GOOD, outcome(drift(), KEPT, done)), (GOOD, outcome(KEPT))])
    assert script.run(HEALS) == ["drifted differs", "healed service running"]


def test_a_change_between_the_look_and_the_write_is_reported() -> None:
    """A plan that is made anew heals it with the rest: the first look does not know of it."""
    other = ObjectRef(Kind.HOST, "other")
    done = (ObjectResult(HOST, Status.CONFIGURED, "service"), ObjectResult(other, Status.CONFIGURED, "log level"))
    looks = [
        (drift(), replace(KEPT, ref=other)),
        (drift(), replace(drift(), ref=other)),
        (KEPT, replace(KEPT, ref=other)),
    ]
    first, again, last = (replace(sites.in_sync(), diff=Diff(changes)) for changes in looks)
    healed = Outcome(first, Plan((), ()), (), last, done, (again.diff,))
    script = Script([(GOOD, healed), (GOOD, replace(healed, before=last, after=None, objects=(), replanned=()))])
    assert script.run(HEALS) == ["drifted differs", "healed service", "drifted differs", "healed log level"]
    alone = f"watches less its annotation vdvs.io/reconcile: disabled was applied: {LEFT_ALONE}"
    assert Script([(GOOD, treated(healed, other))]).run(HEALS) == [alone, "drifted differs", "healed service"]


def test_a_failed_heal_is_reported_once() -> None:
    failed = ObjectResult(HOST, Status.FAILED, "disk full")
    script = Script([(GOOD, outcome(drift(), drift(), failed))] * 3)
    assert script.run(HEALS) == ["drifted differs", "failed not healed: disk full"]


def test_a_drift_that_may_not_be_healed_has_a_reason() -> None:
    held = ObjectResult(HOST, Status.BLOCKED, "widens access")
    script = Script([(GOOD, outcome(drift(), result=held))] * 2)
    assert script.run(HEALS) == ["drifted differs", "blocked not healed: widens access"]
    assert Script([(GOOD, outcome(drift(), result=held))]).run() == ["drifted differs"]


def test_blocked_unknown_and_unmanaged_have_words_of_their_own() -> None:
    for op in (Op.BLOCKED, Op.UNKNOWN, Op.UNMANAGED):
        change = Change(HOST, op, "why")
        assert Script([(GOOD, outcome(change))] * 2).run() == [f"{op.value} why"]


def test_an_object_that_is_no_longer_declared() -> None:
    other = Change(ObjectRef(Kind.HOST, "other"), Op.KEEP, "as declared")
    script = Script([(GOOD, outcome(drift())), (GOOD, outcome(other))])
    assert script.run() == ["drifted differs", "gone no longer declared, and no longer there"]


def test_a_vmgroup_whose_config_db_cannot_be_read_is_not_gone() -> None:
    found = Change(ObjectRef(Kind.VMGROUP, "WILD"), Op.UNMANAGED, "created outside the manifests")
    for op in (Op.UNKNOWN, Op.BLOCKED):
        unread = Change(ObjectRef(Kind.CONFIG_DB, "shared"), op, "locked")
        read = Change(unread.ref, Op.KEEP, "as declared")
        script = Script([(GOOD, outcome(change)) for change in (found, unread, found, unread, read)])
        told = [line for line, event in zip(script.run(), script.heard, strict=True) if event.event.ref == found.ref]
        assert told == ["unmanaged created outside the manifests", "gone no longer declared, and no longer there"]
        assert script.heard[-1].event.kind == "gone"


def test_a_failed_pass_is_reported_once_and_repeated() -> None:
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
    script.run(HEALS)
    assert script.policies == [HEAL, HEAL]
    assert HEAL.risks == {Risk.SAFE, Risk.RESTRICTS}
    assert HEAL.only_applied == HEAL.risks
    assert not HEAL.config_db_lifecycle


def test_every_event_has_its_pass_and_commit() -> None:
    script = Script([(GOOD, outcome(drift())), (GOOD, outcome(KEPT))])
    script.run()
    assert [(told.pass_id, told.revision.commit) for told in script.heard] == [
        ("20261123T201500Z-00000000", "c0"),
        ("20261123T201600Z-00000001", "c1"),
    ]
    assert [done.events for done in script.done] == [(told,) for told in script.heard]
    assert all(done.outcome is not None and not done.failure for done in script.done)


def test_a_failed_pass_has_a_reason() -> None:
    script = Script([(GOOD, InventoryError("vCenter does not answer")), (GOOD, outcome(KEPT))])
    script.run()
    assert [(done.failure, done.outcome is None) for done in script.done] == [
        ("vCenter does not answer", True),
        ("", False),
    ]


def test_applying_new_commits_is_limited_to_the_risks_that_somebody_named() -> None:
    script = Script([(GOOD, outcome(KEPT))])
    script.run(Mode(heal=True, auto_apply=frozenset({Risk.SAFE, Risk.WIDENS})))
    policy = script.policies[0]
    assert policy.risks == {Risk.SAFE, Risk.RESTRICTS, Risk.WIDENS}
    assert policy.only_applied == {Risk.RESTRICTS}
    assert not policy.config_db_lifecycle
    assert script.behalves[0] is not None


def test_nobody_applies_by_healing() -> None:
    script = Script([(GOOD, outcome(KEPT))])
    script.run(HEALS)
    assert [behalf is not None and behalf.records for behalf in script.behalves] == [False]


def test_nothing_that_destroys_is_ever_allowed() -> None:
    assert Risk.DESTROYS not in Mode(auto_apply=frozenset(Risk)).policy(GOOD, ()).risks


@pytest.mark.parametrize(("text", "of_200"), [("7", 7), ("5%", 10), ("100%", 200)])
def test_limits(text: str, of_200: int) -> None:
    assert parse_limit(text).of(200) == of_200
    assert parse_limit("1%").of(3) == 1


@pytest.mark.parametrize("text", ["", "0", "0%", "101%", "-1", "5 %", "many", "1.5"])
def test_what_is_no_limit(text: str) -> None:
    with pytest.raises(ValueError, match="is neither a positive number"):
        parse_limit(text)


def test_records_that_are_altered_between_a_write_and_its_verification_are_told_in_the_next_pass(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    healed = outcome(drift(), KEPT, ObjectResult(HOST, Status.CONFIGURED, "healed"))
    assert healed.after is not None
    after = replace(healed.after, observed=replace(healed.after.observed))
    altered = {HOST: "its record contradicts"}
    monkeypatch.setattr(
        "reconciler.controller.watch.altered_records",
        lambda _, observed: altered if observed is after.observed else {},
    )
    passes = [(GOOD, replace(healed, after=after))] + [(GOOD, replace(outcome(KEPT), before=after))] * 3
    script = Script(passes)
    script.run(HEALS)
    told = [(reported.event.kind, reported.pass_id) for reported in script.heard]
    assert [pass_id for kind, pass_id in told if kind is EventKind.RECORDS] == [script.done[1].id]


def test_what_asks_to_be_left_alone_is_told_when_it_is_asked_and_when_it_counts() -> None:
    other = ObjectRef(Kind.HOST, "other")  # nothing says what was applied to it
    drifted = outcome(replace(drift(), ref=other))
    asking = replace(GOOD, treatments=(Treatment(other, Reconcile.DISABLED, "without it"),))
    script = Script([(GOOD, outcome(KEPT)), (asking, drifted), (asking, treated(drifted, other)), (GOOD, drifted)])
    asked = "its manifest has the annotation vdvs.io/reconcile: disabled now, which counts once it was applied"
    assert script.run() == [
        f"watches less {asked}",
        "drifted differs",
        f"watches less its annotation vdvs.io/reconcile: disabled was applied: {LEFT_ALONE}",
        "gone no longer declared, and no longer there",
        "drifted differs",
    ]


def test_what_the_manifests_say_no_more_is_told() -> None:
    bare = replace(GOOD, hosts=(), config_dbs=tuple(replace(db, unmanaged=Unmanaged.IGNORE) for db in GOOD.config_dbs))
    told = Script([(GOOD, outcome(KEPT)), (bare, outcome(KEPT))]).run()
    assert [line.partition(" no manifest")[0] for line in told[: len(GOOD.hosts)]] == ["watches less"] * len(GOOD.hosts)
    assert len(told) == len(GOOD.hosts) + len(GOOD.config_dbs)


def test_access_that_stays_widened_is_told_loudly() -> None:
    lifted = replace(
        drift(), risk=Risk.RESTRICTS, rights=(RightsChange("its VM", "d1", "create without limit", "create", False),)
    )
    held = ObjectResult(HOST, Status.BLOCKED, "it was healed repeatedly")
    told = Script([(GOOD, outcome(lifted, result=held))] * 2).run(HEALS)
    loud = "ACCESS STAYS WIDENED (its VM may create without limit on d1); not healed: it was healed repeatedly"
    assert told == ["drifted differs", f"access stays widened {loud}"]


def test_what_was_only_taken_back_in_part_is_healed_and_the_rest_waits() -> None:
    part = ObjectResult(HOST, Status.BLOCKED, "it widens", (FieldChange("access[d1].volumeMaxSize", None, "1MB"),))
    told = Script([(GOOD, outcome(drift(), drift(), part))] * 2).run(HEALS)
    assert told[1:3] == [
        "healed what was added is taken back (access[d1].volumeMaxSize); the rest waits",
        "blocked not healed: it widens",
    ]


def test_what_drifts_back_again_and_again_is_not_restored_until_its_manifest_changes() -> None:
    healed = outcome(drift(), KEPT, ObjectResult(HOST, Status.CONFIGURED, "service running"))
    known = replace(GOOD, digests=((HOST, "d1"),))
    changed = replace(GOOD, digests=((HOST, "d2"),))
    script = Script([(known, healed)] * 3 + [(known, outcome(KEPT)), (changed, outcome(KEPT))])
    told = script.run(HEALS)
    assert [line.split()[0] for line in told] == ["drifted", "healed"] * 3 + ["braked"]
    assert told[-1] == (
        "braked something keeps changing it (service); the last known apply is by ann@ws (claimed by the config DB) on"
        " 2026-11-23 20:15 UTC of git 4f2c1ab; for 60 minutes, or until its manifest changes, it is changed only"
        " where something was added to it"
    )
    assert [HOST in dict(policy.braked) for policy in script.policies] == [False, False, False, True, False]


def test_what_drifts_now_and_then_is_healed_each_time() -> None:
    healed = outcome(drift(), KEPT, ObjectResult(HOST, Status.CONFIGURED, "service running"))
    script = Script(([(GOOD, healed)] + [(GOOD, outcome(KEPT))] * 10) * 5)
    assert "braked" not in [line.split()[0] for line in script.run(HEALS)]


def test_a_listener_that_breaks_is_complained_of_once_and_the_others_hear_all(caplog: pytest.LogCaptureFixture) -> None:
    class Breaking(Script):
        def on_event(self, event: ReportedEvent) -> None:
            super().on_event(event)
            raise RuntimeError("oops")

    script = Breaking([(GOOD, outcome(drift())), (GOOD, outcome(KEPT))])
    assert [line.split()[0] for line in script.run()] == ["drifted", "in"]
    assert len(script.done) == 2
    assert len(caplog.records) == 1


OPENED = replace(drift(), host_state=Standing.OPEN, cause=Cause.SITE, effect=Effect.GAVE)
SILENT = Change(HOST, Op.UNKNOWN, "no answer", host_state=Standing.UNREACHABLE)


def since(*changes: Change, lasting: Mapping[ObjectRef, Lasting] | None = None) -> list[str]:
    script = Script([(GOOD, outcome(change)) for change in changes], lasting=lasting or {})
    script.run()
    return script.since()


def test_what_is_seen_to_begin_began_and_what_is_there_already_was_first_seen() -> None:
    assert since(drift(), drift()) == ["drifted first seen 0, differs first seen 0"] * 2
    assert since(KEPT, drift(), KEPT, drift())[1:] == [
        "drifted began 1, differs began 1",
        "in sync",
        "drifted began 3, differs began 3",
    ]


def test_each_state_has_its_beginning_and_the_difference_its_own() -> None:
    assert since(KEPT, drift(), OPENED, SILENT, OPENED)[1:] == [
        "drifted began 1, differs began 1",
        "OPEN began 2, differs began 1",
        "unreachable began 3, differs began 1",
        "OPEN first seen 4, differs began 1",  # nobody saw when the host that was silent was opened, or closed
    ]
    assert since(KEPT, SILENT, drift())[1:] == [
        "unreachable began 1, differs -",
        "drifted first seen 2, differs first seen 2",
    ]


def test_a_look_that_is_long_ago_does_not_tell_when_something_began() -> None:
    silent = (GOOD, InventoryError("vCenter does not answer"))
    script = Script([(GOOD, outcome(KEPT)), silent, silent, silent, (GOOD, outcome(drift()))])
    script.run()
    assert script.since()[-1] == "drifted first seen 4, differs first seen 4"


def test_a_watch_that_starts_anew_goes_on_with_what_lasts() -> None:
    began, opened = Since(START - timedelta(minutes=9), seen=False), Since(START - timedelta(minutes=5), seen=True)
    known = {HOST: Lasting(Standing.OPEN, opened, began)}
    assert since(OPENED, lasting=known) == ["OPEN first seen -5, differs began -9"]
    assert since(drift(), lasting=known) == ["drifted first seen 0, differs began -9"]
    assert since(KEPT, drift(), lasting=known) == ["in sync", "drifted began 1, differs began 1"]


def test_an_event_tells_what_happened_and_since_when() -> None:
    script = Script([(GOOD, outcome(KEPT)), (GOOD, outcome(OPENED))])
    assert script.run() == ["drifted OPENED: every VM may create volumes without limit on esxiz10"]
    told = event_data(script.heard[0])
    assert (told["word"], told["sinceKind"], told["change"]["effect"]) == ("OPEN", "began", "gave")
    text = event_text(script.heard[0])
    assert "  OPEN         host/esxiz10" in text
    assert "gave access; repair disrupts nothing" in text
    assert "service        live stopped, declared running" in text


def test_manifests_that_cannot_be_read_do_not_hold_the_watch_forever(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that does not answer keeps the thread that reads, but not the watch."""
    monkeypatch.setattr("reconciler.controller.watch.PASS_SECONDS", 0.05)
    answers = threading.Event()
    script = Script([(GOOD, outcome(KEPT))] * 2)
    load = script._load

    def silent() -> Loaded:
        if script.at == 0:
            answers.wait()
        else:
            answers.set()
        return load()

    monkeypatch.setattr(script, "_load", silent)
    assert script.run() == [
        "pass failed the pass took longer than 0 s and was cancelled",
        "pass works the site can be looked at again",
    ]
