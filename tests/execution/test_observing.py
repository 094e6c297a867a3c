"""Observing: every host once, what is shared through one of them, and through the next one where that fails."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest
from msgspec.structs import replace

from reconciler.execution.observe import observe
from reconciler.execution.prefetch import prefetch
from reconciler.model.kinds.configdb import DBState
from reconciler.model.kinds.host import DBMode, ObservedHost, UnreachableHost
from reconciler.model.refs import Location
from reconciler.model.state import Observed
from reconciler.planning.resolve import resolve
from tests.execution.site import Lab
from tests.planning import compact
from tests.planning.compact import url_of

HOSTS = ["h1", "h2", "h3"]
PATH = f"{url_of('shared')}/dockvols/vmdkops_config.db"
PLACE = Location(PATH)


def lab(declared: str = "shared", **datastores: list[str]) -> Lab:
    """Three hosts that use the config DB on `shared`; `datastores`: who mounts which, by the inventory; `declared`:
    where the manifests want it."""
    known = [{"name": name, "hosts": mounting} for name, mounting in (datastores or {"shared": HOSTS}).items()]
    return Lab(
        {"hosts": dict.fromkeys(HOSTS), "configdbs": {"a": {"datastore": declared}}},
        {"hosts": HOSTS, "datastores": known, "vms": []},
        {
            "hosts": dict.fromkeys(HOSTS, "joined"),
            "config_dbs": {"shared": {}, declared: {}},
            "dockvols": {"shared": {"id-g1": 1}},
        },
    )


def look(lab: Lab, avoid: Iterable[str] = ()) -> Observed:
    """One look."""
    resolved = resolve(compact.desired(lab.wanted), lab.inventory)
    return asyncio.run(observe(resolved, lab.hosts, lab.fakes, avoid))


def readers(lab: Lab, place: str) -> list[str]:
    """The hosts that were asked to read this, in order."""
    return [host for host, read in lab.hosts.readings if read == place]


def test_every_host_is_asked_once_and_what_is_shared_is_read_once() -> None:
    site = lab(shared=HOSTS, local=["h2"])
    seen = look(site)
    assert sorted(site.hosts.log) == [(name, "observe") for name in HOSTS]
    assert (len(readers(site, PATH)), len(readers(site, url_of("shared")))) == (1, 1)
    assert readers(site, url_of("local")) == ["h2"]
    assert all(isinstance(host, ObservedHost) for host in seen.hosts.values())
    assert seen.config_dbs[PLACE].read_from == "h1"
    assert seen.datastores[url_of("shared")].entries.keys() == {"id-g1"}


def test_the_next_host_reads_what_one_that_is_down_was_to_read() -> None:
    site = lab()
    site.hosts.down = {"h1", "h2"}
    seen = look(site)
    assert isinstance(seen.hosts["h1"], UnreachableHost)
    assert (seen.config_dbs[PLACE].state, seen.config_dbs[PLACE].read_from) == (DBState.PRESENT, "h3")
    assert seen.datastores[url_of("shared")].error is None


def test_the_next_host_reads_what_one_does_not_mount_though_the_inventory_says_so() -> None:
    site = lab()
    host = site.site.hosts["h1"]
    assert isinstance(host, ObservedHost)
    site.site.hosts["h1"] = compact.observed_host("h1", {"volumes": {}}, site.inventory)
    seen = look(site)
    assert seen.config_dbs[PLACE].read_from == "h2"
    assert seen.datastores[url_of("shared")].error is None
    assert seen.datastores[url_of("shared")].entries


@pytest.mark.parametrize("broken", [["h1"], ["h1", "h2"]])
def test_the_next_host_reads_what_one_cannot_read(broken: list[str]) -> None:
    site = lab()
    site.hosts.broken = {(name, url_of("shared")) for name in broken}
    seen = look(site)
    assert seen.config_dbs[PLACE].read_from == HOSTS[len(broken)]
    assert seen.datastores[url_of("shared")].error is None


def test_what_no_host_can_read_is_unknown_and_says_why() -> None:
    site = lab()
    site.hosts.broken = {(name, url_of("shared")) for name in HOSTS}
    seen = look(site)
    assert (seen.config_dbs[PLACE].state, seen.config_dbs[PLACE].reason) == (DBState.UNKNOWN, "ReadError")
    assert seen.datastores[url_of("shared")].error == "cannot be read"


def test_what_nobody_who_is_up_mounts_is_unknown_not_absent() -> None:
    site = lab(shared=["h1"], local=["h1"], unused=[])
    site.hosts.down = {"h1"}
    seen = look(site)
    assert (seen.config_dbs[PLACE].state, seen.config_dbs[PLACE].reason) == (DBState.UNKNOWN, "Unreachable")
    assert seen.datastores[url_of("local")].error is not None
    assert url_of("unused") not in seen.datastores  # no declared host could serve anything from it


def test_all_hosts_down_is_an_answer_too() -> None:
    site = lab()
    site.hosts.down = set(HOSTS)
    seen = look(site)
    assert all(isinstance(host, UnreachableHost) for host in seen.hosts.values())
    assert sorted(site.hosts.log) == [(name, "observe") for name in HOSTS]


def test_a_host_to_be_avoided_reads_the_config_db_only_if_no_other_can() -> None:
    site = lab()
    assert look(site, avoid={"h1"}).config_dbs[PLACE].read_from == "h2"
    site.hosts.down = {"h2", "h3"}
    assert look(site, avoid={"h1"}).config_dbs[PLACE].read_from == "h1"


def test_hosts_that_use_another_config_db_read_it_only_if_its_own_cannot() -> None:
    site = lab()
    databases: dict[str, Any] = {"a": {"datastore": "shared", "hosts": ["h2", "h3"]}}
    site.wanted = {"hosts": dict.fromkeys(HOSTS), "configdbs": databases}
    assert look(site).config_dbs[PLACE].read_from == "h2"
    site.hosts.down = {"h2", "h3"}
    assert look(site).config_dbs[PLACE].read_from == "h1"


def looked_ahead(site: Lab, last: Observed | None = None) -> Observed:
    """One look, of which a part was taken before names were looked up: what the `last` one found, above all."""
    wanted = compact.desired(site.wanted)

    async def both() -> Observed:
        foreseen = await prefetch(wanted, site.hosts, site.fakes, last)
        return await observe(resolve(wanted, site.inventory), site.hosts, site.fakes, (), foreseen)

    return asyncio.run(both())


def test_the_config_db_that_a_host_uses_already_is_read_ahead_and_only_once() -> None:
    site, plain = lab(), lab()
    assert looked_ahead(site) == look(plain)
    assert readers(site, PATH) == ["h1"]
    assert readers(site, url_of("shared")) == readers(plain, url_of("shared"))


def test_one_that_turns_out_not_to_be_the_declared_one_is_nothing_that_anybody_sees() -> None:
    site, plain = (lab("other", shared=HOSTS, other=HOSTS) for _ in range(2))
    assert looked_ahead(site) == look(plain)


def test_a_host_that_did_not_answer_ahead_is_not_asked_again() -> None:
    site, plain = lab(), lab()
    site.hosts.down = plain.hosts.down = {"h1"}
    assert looked_ahead(site) == look(plain)
    assert site.hosts.log.count(("h1", "observe")) == 1


def two_datastores() -> Lab:
    return lab(shared=HOSTS, local=["h2", "h3"])


def test_what_was_read_in_the_last_look_is_asked_for_ahead_so_that_each_host_is_asked_once() -> None:
    site = two_datastores()
    last = looked_ahead(site)
    site.hosts.log.clear()
    assert looked_ahead(site, last) == last
    assert sorted(site.hosts.log) == [(name, "observe") for name in HOSTS]


@pytest.mark.parametrize("gone", [{"h1"}, {"h2"}, {"h1", "h2"}, set(HOSTS)])
def test_whom_the_last_look_asked_and_who_is_down_by_now_is_replaced_by_the_next(gone: set[str]) -> None:
    site, plain = two_datastores(), two_datastores()
    last = looked_ahead(site)
    site.hosts.down = plain.hosts.down = gone
    assert looked_ahead(site, last) == look(plain)


@pytest.mark.parametrize("name", ["shared", "local"])
def test_a_datastore_that_the_reader_of_the_last_look_cannot_read_any_more_is_read_by_the_next(name: str) -> None:
    site, plain = two_datastores(), two_datastores()
    last = looked_ahead(site)
    reader = last.datastores[url_of(name)].read_from
    site.hosts.broken = plain.hosts.broken = {(str(reader), url_of(name))}
    seen = looked_ahead(site, last)
    assert seen == look(plain)
    assert seen.datastores[url_of(name)].error is None
    assert seen.datastores[url_of(name)].read_from != reader


def test_what_is_not_to_be_looked_at_any_more_is_not_in_the_next_look() -> None:
    site = two_datastores()
    last = looked_ahead(site)
    site.inventory = lab().inventory
    seen = looked_ahead(site, last)
    assert seen == look(site)
    assert url_of("local") not in seen.datastores


@pytest.mark.parametrize(
    ("reason", "mode"),
    [
        ("Corrupt", DBMode.BROKEN_LINK),
        ("Locked", DBMode.BROKEN_LINK),
        ("HotJournal", DBMode.MULTI_NODE),
        ("WriteAheadLog", DBMode.MULTI_NODE),
        ("Damaged", DBMode.MULTI_NODE),
        ("Incomplete", DBMode.MULTI_NODE),
        ("WrongVersion", DBMode.MULTI_NODE),
        ("ReadError", DBMode.MULTI_NODE),
    ],
)
@pytest.mark.parametrize("declared", ["shared", "new"])
def test_what_one_host_finds_wrong_with_a_config_db_holds_for_all_that_are_linked_to_it(
    declared: str, reason: str, mode: DBMode
) -> None:
    """None of the others opens it, also where the manifests do not say that it is used."""
    site = lab(declared, shared=HOSTS, new=HOSTS)
    rows = site.site.dbs[PLACE]
    rows.other = replace(rows.other, state=DBState.UNKNOWN, reason=reason, message="so it is")
    seen = look(site)
    found = [(host.db_mode, host.db_reason) for host in seen.hosts.values() if isinstance(host, ObservedHost)]
    assert found == [(mode, reason if mode is DBMode.BROKEN_LINK else "")] * 3
    assert readers(site, PATH) == (["h1", "h2", "h3"] if reason == "ReadError" else ["h1"])


def test_a_config_db_that_no_manifest_declares_is_read_for_its_hosts_alone() -> None:
    site = lab("new", shared=HOSTS, new=HOSTS)
    site.hosts.down = {"h1"}
    seen = look(site)
    assert readers(site, PATH) == ["h2"]
    assert seen.config_dbs.keys() == {Location(PATH.replace(url_of("shared"), url_of("new")))}
