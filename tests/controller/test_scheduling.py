"""The steps after a pass: what is looked at next, and when."""

from __future__ import annotations

from msgspec.structs import replace

from reconciler.controller.queue import Priority
from reconciler.controller.scheduling import next_pass
from reconciler.model.diff import Diff, Op
from reconciler.model.inventory import ESXiHost
from reconciler.model.kinds.host import UnreachableHost
from reconciler.model.outcome import ObjectResult, Outcome, Status
from reconciler.model.plan import Plan
from reconciler.model.refs import Kind
from tests.controller.loop import HOST, desired
from tests.render import sites
from tests.telemetry.passes import kept, made

DESIRED = desired()


def looked(**changes: object) -> Outcome:
    return replace(Outcome(sites.in_sync(), Plan((), ()), (), None, ()), **changes)


def test_a_failed_pass_is_repeated_and_has_no_hosts() -> None:
    follows = next_pass(made(failure="down"), DESIRED)
    assert (follows.priority, follows.watches, follows.silent, follows.addresses) == (Priority.RETRY, {}, {}, {})


def test_a_pass_that_worked_is_followed_by_a_resync() -> None:
    assert next_pass(made(kept()), DESIRED).priority is Priority.RESYNC


def test_what_could_not_be_healed_is_tried_again() -> None:
    failed = looked(objects=(ObjectResult(HOST, Status.FAILED, "disk full"),))
    assert next_pass(replace(made(), outcome=failed), DESIRED).priority is Priority.RETRY


def test_what_somebody_else_changed_while_we_wrote_is_looked_at_soon() -> None:
    before = sites.in_sync()
    ref = min(change.ref for change in before.diff.changes if change.ref.kind is Kind.HOST)
    opened = tuple(replace(each, op=Op.UPDATE) if each.ref == ref else each for each in before.diff.changes)
    after = replace(before, diff=Diff(opened))
    came = replace(made(), outcome=looked(before=before, after=after))
    assert next_pass(came, DESIRED).priority is Priority.RETRY
    was_there = replace(made(), outcome=looked(before=after, after=after))
    assert next_pass(was_there, DESIRED).priority is Priority.RESYNC


def test_every_host_looks_out_and_one_of_them_for_each_config_db_and_datastore() -> None:
    seen = sites.in_sync()
    watches = next_pass(made(), DESIRED).watches
    assert set(watches) == set(seen.observed.hosts)
    paths = [path for request in watches.values() for path in request.config_dbs]
    assert sorted(paths) == sorted(db.path for db in seen.observed.config_dbs.values())
    urls = [url for request in watches.values() for url in request.datastores]
    assert len(urls) == len(set(urls))


def test_a_config_db_stays_with_the_host_that_reads_it_at_each_look_though_another_read_it_back() -> None:
    before = sites.in_sync()
    place, db = next(iter(before.observed.config_dbs.items()))
    other = next(name for name in sorted(before.observed.hosts) if name != db.read_from)
    read_back = {**before.observed.config_dbs, place: replace(db, read_from=other)}
    after = replace(before, observed=replace(before.observed, config_dbs=read_back))
    wrote = next_pass(replace(made(), outcome=looked(before=before, after=after)), DESIRED)
    assert wrote.watches == next_pass(made(), DESIRED).watches
    created = replace(before, observed=replace(before.observed, config_dbs={}))
    assert (
        db.path
        in next_pass(replace(made(), outcome=looked(before=created, after=after)), DESIRED).watches[other].config_dbs
    )


def test_hosts_that_do_not_answer_are_silent_whether_declared_or_not() -> None:
    look = sites.in_sync()
    name = min(look.observed.hosts)
    hosts = {**look.observed.hosts, name: UnreachableHost(name, "connection refused")}
    inventory = replace(look.resolved.inventory, hosts=(*look.resolved.inventory.hosts, ESXiHost("stranger")))
    before = replace(
        look, observed=replace(look.observed, hosts=hosts), resolved=replace(look.resolved, inventory=inventory)
    )
    everybody = replace(DESIRED, hosts=tuple(replace(DESIRED.hosts[0], ref=host.ref) for host in look.resolved.hosts))
    follows = next_pass(replace(made(), outcome=looked(before=before)), everybody)
    assert follows.silent[name] == "connection refused"
    assert follows.silent["stranger"] == "it did not answer"
    assert follows.addresses["stranger"] == "stranger"
    assert name not in follows.watches
