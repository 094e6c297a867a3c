"""A saved plan is a request of whoever can write the file: what is shown is what is done, and access is the applier's.

Every plan here is forged with a digest that fits.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from msgspec.structs import replace

from reconciler.cli.main import cli
from reconciler.model.base import Risk
from reconciler.model.plan import Plan, SavedPlan, Withheld
from reconciler.model.refs import Kind, ObjectRef
from reconciler.saved import Read, read, to_bytes
from tests.e2e.site import SEED, LabSite, assert_in_sync

LESS, MORE = SEED.replace("5GB", "4GB"), SEED.replace("5GB", "9GB")
GROUP = ObjectRef(Kind.VMGROUP, "MYVMGROUP")


def vdvs(*args: str) -> Result:
    return CliRunner().invoke(cli, list(args), catch_exceptions=False, prog_name="vdvs")


@pytest.fixture
def site(tmp_path: Path, lab_in_sync: Path) -> Iterator[LabSite]:
    made = LabSite(tmp_path)
    made.replace_lab(lab_in_sync)
    yield made
    assert made.broken_rules() == []


def planned(site: LabSite, text: str, *options: str) -> Read:
    site.write(text)
    file = site.folder / "honest.plan"
    done = vdvs("plan", "-f", str(site.manifests), "--out", str(file), *options)
    assert done.exit_code == 0, done.output
    return read(str(file))


def apply(site: LabSite, plan: SavedPlan, *options: str) -> Result:
    file = site.folder / "given.plan"
    file.write_bytes(b"".join(to_bytes(plan)))
    return vdvs("apply", "--plan", str(file), "--site", str(site.site_file), *options)


def rows(site: LabSite) -> object:
    return site.sql("SELECT * FROM privileges"), site.sql("SELECT * FROM tenants"), site.sql("SELECT * FROM vms")


def assert_nothing_is_done(site: LabSite, plan: SavedPlan, *options: str) -> str:
    """Return what is said. A refusal is exit 2 (the file is at fault) or 3 (the site is not as it found it)."""
    before = rows(site)
    for dry in ((), ("--dry-run",)):
        done = apply(site, plan, *dry, *options)
        assert done.exit_code in {2, 3}, done.output
        assert "Traceback" not in done.output
        assert "bug" not in done.output
        assert rows(site) == before
    return done.stderr


def test_an_honest_plan_is_carried_out(site: LabSite) -> None:
    made = planned(site, MORE)
    assert apply(site, made.plan, "--digest", made.digest).exit_code == 0
    assert_in_sync(site)
    assert site.sql("SELECT usage_quota FROM privileges") == [(9216,)]


def test_nothing_of_the_makers_machine_and_no_access_is_in_it(site: LabSite) -> None:
    planned(site, MORE)
    text = (site.folder / "honest.plan").read_text()
    assert str(site.folder) not in text
    assert ".lab" not in text
    assert {"credentials", "identity_file", "ignore_host_keys", "port"} & set(json.loads(text)["content"]) == set()
    assert "inventory" not in text


def mixed(site: LabSite, take: Callable[[SavedPlan, SavedPlan], SavedPlan]) -> SavedPlan:
    """A plan of parts of an innocent one and of a wide one, made of the same state."""
    return take(planned(site, LESS).plan, planned(site, MORE).plan)


@pytest.mark.parametrize(
    "take",
    [
        lambda less, more: replace(more, diff=less.diff),
        lambda less, more: replace(more, plan=less.plan),
        lambda less, more: replace(less, question=more.question),
        lambda less, more: replace(less, plan=more.plan),
        lambda less, more: replace(less, plan=more.plan, question=more.question),
    ],
    ids=["diff", "steps", "question", "steps and question", "everything but the diff"],
)
def test_parts_that_do_not_fit_are_no_plan(site: LabSite, take: Callable[[SavedPlan, SavedPlan], SavedPlan]) -> None:
    assert "nothing was written" in assert_nothing_is_done(site, mixed(site, take))


def test_what_a_plan_says_of_its_own_risk_is_not_believed(site: LabSite) -> None:
    made = planned(site, MORE).plan
    (change,) = [change for change in made.diff.changes if change.ref == GROUP]
    safe = replace(change, risk=Risk.SAFE, rights=(), actions=tuple(replace(a, risk=Risk.SAFE) for a in change.actions))
    changes = tuple(safe if each is change else each for each in made.diff.changes)
    assert_nothing_is_done(site, replace(made, diff=replace(made.diff, changes=changes)))
    (step,) = made.plan.config_dbs
    groups = tuple(tuple(replace(action, risk=Risk.SAFE) for action in group) for group in step.groups)
    assert_nothing_is_done(site, replace(made, plan=replace(made.plan, config_dbs=(replace(step, groups=groups),))))
    assert_nothing_is_done(site, replace(made, plan=replace(made.plan, config_dbs=(replace(step, backups_to_keep=0),))))


def test_what_has_no_step_in_it_is_not_done(site: LabSite) -> None:
    made = planned(site, MORE).plan
    stripped = replace(made, plan=Plan((), ()))
    before = rows(site)
    apply(site, stripped)
    apply(site, replace(made, plan=Plan((), (), (Withheld(GROUP, "\x1b[2Jall is well"),))))
    assert rows(site) == before


def test_destroying_takes_the_consent_of_whoever_applies(site: LabSite) -> None:
    site.write(SEED.replace("defaultVMGroup: Absent", "defaultVMGroup: Present"))
    site.reconcile()
    made = planned(site, SEED, "--allow-destroy").plan
    assert "give --allow-destroy" in assert_nothing_is_done(site, made)
    assert apply(site, made, "--allow-destroy").exit_code == 0
    assert site.sql("SELECT name FROM tenants") == [("MYVMGROUP",)]


def test_what_it_asks_for_is_told_before_anything_is_done(site: LabSite) -> None:
    made = planned(site, MORE, "--allow-destroy", "--set", "prod").plan
    applying = replace(made.question.applying, prune=True, trust_records=True)
    said = apply(site, replace(made, question=replace(made.question, applying=applying)), "--dry-run").stderr
    first = said.splitlines()[0]
    for part in ("set prod", "--prune", "--trust-records", "--allow-destroy", "digest sha256:", "for "):
        assert part in first


@pytest.mark.parametrize(
    ("made", "lasts", "why"),
    [
        (timedelta(0), timedelta(days=31), "which cannot be"),
        (timedelta(0), timedelta(days=365 * 70), "which cannot be"),
        (timedelta(days=2), timedelta(days=1), "which cannot be"),
        (-timedelta(days=31), timedelta(days=29), "the plan expired"),
    ],
)
def test_it_holds_for_so_long_and_no_longer(site: LabSite, made: timedelta, lasts: timedelta, why: str) -> None:
    at = datetime.now(UTC) + made
    forged = replace(planned(site, MORE).plan, made_at=at, expires_at=at + lasts)
    assert why in assert_nothing_is_done(site, forged)


def test_only_the_digest_that_was_approved_is_applied(site: LabSite) -> None:
    approved, other = planned(site, LESS), planned(site, MORE)
    assert "not the plan that was approved" in assert_nothing_is_done(site, other.plan, "--digest", approved.digest)
    assert "not the plan that was approved" in assert_nothing_is_done(site, other.plan, "--digest", "")
    assert apply(site, approved.plan, "--digest", approved.digest.removeprefix("sha256:")).exit_code == 0
    assert vdvs("apply", "-f", str(site.manifests), "--digest", approved.digest).exit_code == 2


def test_plan_prints_its_digest(site: LabSite) -> None:
    site.write(MORE)
    file = site.folder / "x.plan"
    said = vdvs("plan", "-f", str(site.manifests), "--out", str(file)).stderr
    assert f"digest {json.loads(file.read_text())['digest']};" in said


def manifests(plan: SavedPlan, change: Callable[[dict[str, Any]], object]) -> SavedPlan:
    """The same with every document changed."""
    documents = json.loads(json.dumps(plan.question.manifests))
    for document in documents:
        change(document)
    return replace(plan, question=replace(plan.question, manifests=tuple(documents)))


class TestItsManifestsAreCheckedLikeAnyOthers:
    def test_an_address_that_the_site_does_not_allow(self, site: LabSite) -> None:
        site.site_file.write_text(site.site_file.read_text() + '  allow: {hosts: ["*.lab.local", "esxiz*"]}\n')
        made = planned(site, MORE).plan

        def move(document: dict[str, Any]) -> None:
            if document["kind"] == "Host":
                document["spec"]["address"] = "127.0.0.1" if document["metadata"]["name"] == "esxiz10" else "127.0.0.2"

        assert "the Site does not allow its address" in assert_nothing_is_done(site, manifests(made, move))

    @pytest.mark.parametrize("name", ["../../etc", "a\x1b[2J", "", "x" * 5000, 7, None, [[]]])
    def test_names_that_are_none(self, site: LabSite, name: object) -> None:
        forged = manifests(planned(site, MORE).plan, lambda document: document["metadata"].update(name=name))
        said = assert_nothing_is_done(site, forged)
        assert "its manifests are not valid" in said
        assert "\x1b" not in said

    def test_a_site_among_them(self, site: LabSite) -> None:
        made = planned(site, MORE).plan
        for spec in ({"ssh": {}, "inventory": {"file": "x"}}, {}):
            theirs = {"apiVersion": "vdvs.io/v1", "kind": "Site", "metadata": {"name": "lab"}, "spec": spec}
            question = replace(made.question, manifests=(*made.question.manifests, theirs))
            assert "it carries a Site" in assert_nothing_is_done(site, replace(made, question=question))

    def test_every_character_survives(self, site: LabSite) -> None:
        described = 'caf\u00e9 \U0001f600 \u2028 \ufeff "quoted" \\\\ end'
        written = json.dumps(described, ensure_ascii=False).replace("\u2028", "\\u2028").replace("\ufeff", "\\ufeff")
        made = planned(site, MORE + f"  description: {written}\n")
        assert apply(site, made.plan).exit_code == 0
        assert site.sql("SELECT description FROM tenants") == [(described,)]


@pytest.mark.parametrize("uuid", ["../../x", "", "564D0000-0000-4000-8000-00000000000A", "x" * 36])
def test_what_it_draws_are_uuids(site: LabSite, uuid: str) -> None:
    made = planned(site, MORE + site.vmgroup("other")).plan
    ((ref, _),) = made.question.drawn
    forged = replace(made, question=replace(made.question, drawn=((ref, uuid),)))
    assert "is not a UUID" in assert_nothing_is_done(site, forged)


@pytest.mark.parametrize("field", ["set", "by", "reason", "backup", "site", "made_by"])
def test_words_of_it_are_one_printable_line(site: LabSite, field: str) -> None:
    made = planned(site, MORE).plan
    for text in ("two\nlines", "\x1b[2J", "x" * 2000, "\u202ereversed"):
        question = made.question
        if field in {"by", "reason"}:
            stamp = replace(question.applying.stamp, **{field: text})
            forged = replace(made, question=replace(question, applying=replace(question.applying, stamp=stamp)))
        elif field in {"set", "backup"}:
            forged = replace(made, question=replace(question, applying=replace(question.applying, **{field: text})))
        elif field == "site":
            forged = replace(made, question=replace(question, site=text))
        else:
            forged = replace(made, made_by=text)
        said = assert_nothing_is_done(site, forged)
        assert f"its {field} is not one line" in said
        assert text not in said


class TestFilesThatAreNoPlans:
    def refused(self, site: LabSite, file: Path) -> str:
        done = vdvs("apply", "--plan", str(file), "--site", str(site.site_file))
        assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1)
        return done.stderr

    def test_a_deep_one(self, site: LabSite, tmp_path: Path) -> None:
        honest = planned(site, MORE).plan
        deep: Any = []
        for _ in range(400):
            deep = [deep]
        nested = replace(honest, question=replace(honest.question, manifests=({"kind": deep},)))
        file = tmp_path / "deep.plan"
        file.write_bytes(b"".join(to_bytes(nested)))
        done = vdvs("apply", "--plan", str(file), "--site", str(site.site_file))
        assert done.exit_code == 2
        assert "its manifests are not valid" in done.stderr
        content = b"[" * 200_000 + b"]" * 200_000
        digest = sha256(content).hexdigest().encode()
        file.write_bytes(b'{"vdvsPlan":3,"digest":"sha256:%s","content":%s}\n' % (digest, content))
        assert "it is damaged or cut off" in self.refused(site, file)

    def test_a_huge_one_a_pipe_and_a_folder(self, site: LabSite, tmp_path: Path) -> None:
        huge, pipe = tmp_path / "huge.plan", tmp_path / "pipe.plan"
        with huge.open("wb") as stream:
            stream.truncate(2**40)
        os.mkfifo(pipe)
        assert "is larger than" in self.refused(site, huge)
        assert "is not a regular file" in self.refused(site, pipe)
        assert "Is a directory" in self.refused(site, tmp_path)

    def test_an_older_format_was_made_by_another_version(self, site: LabSite, tmp_path: Path) -> None:
        file = tmp_path / "old.plan"
        file.write_text('{"vdvsPlan":2,"digest":"sha256:00","content":{"made_by":"vdvs 0.1.0\\u001b[2J"}}\n')
        said = self.refused(site, file)
        assert "another version of vdvs, made it" in said
        assert "\x1b" not in said
