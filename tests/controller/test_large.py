"""A watch that heals a large site: chaos, kills, another watch beside it, hosts that go away. The random numbers come
from a seed that is printed; VDVS_SEED sets it."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from random import Random

import pytest

from tests.controller.daemon import Daemon, agents_of
from tests.controller.large import ON_GROUPS, ON_HOSTS, Large, drifts, events, execute, kill_an_agent, link, run
from tests.repetitions import times

SOON = 60.0


@pytest.fixture
def chance() -> Random:
    seed = os.environ.get("VDVS_SEED") or str(random.SystemRandom().randrange(10**9))
    print(f"VDVS_SEED={seed}")
    return Random(seed)


@pytest.fixture
def site(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Large:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    made = Large(*getattr(request, "param", (3, 12)))
    made.make()
    return made


@pytest.fixture
def watches() -> Iterator[list[Daemon]]:
    started: list[Daemon] = []
    yield started
    for daemon in started:
        assert daemon.close() == ""


def start(watches: list[Daemon], *more: str) -> Daemon:
    watches.append(Daemon("--heal", "--interval", "5s", "--history", "history.sqlite", *more))
    assert watches[-1].named()[0] == "started"
    return watches[-1]


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + SOON
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


def is_blocked(about: str) -> bool:
    return "blocked" in events(about)


def until_settled(expected: int) -> None:
    """So many drifts were seen, and all of them have ended."""
    until = time.monotonic() + SOON
    while len(found := drifts()) < expected or any(drift["ended"] is None for drift in found):
        assert time.monotonic() < until, [drift for drift in found if drift["ended"] is None] or len(found)
        time.sleep(0.05)


def chaos(site: Large, chance: Random, watches: list[Daemon], number: int) -> None:
    daemon = start(watches)
    daemon.passes(2)
    objects = [(f"host/{name}", kind) for name in site.host_names() for kind in ON_HOSTS]
    objects += [(f"vmgroup/{name}", kind) for name in site.group_names() for kind in ON_GROUPS]
    chance.shuffle(objects)
    kinds: list[tuple[str, str]] = []
    touched: Counter[str] = Counter()
    for about, kind in objects:
        if touched[about] == 2 or len(kinds) == number:  # a third time, and the brake is on
            continue
        touched[about] += 1
        name = about.partition("/")[2]
        target = link(name).readlink() if kind == "configDB again" else None
        (ON_HOSTS | ON_GROUPS)[kind](name)
        kinds.append((about, kind))
        if chance.random() < 0.1:
            kill_an_agent(daemon.process.pid, chance)
        if target is not None:  # it is not for a watch to widen access
            wait_for(partial(is_blocked, about))
            link(name).unlink()
            link(name).symlink_to(target)
        until_settled(len(kinds))
    injected = [(about, kind.removesuffix(" again")) for about, kind in kinds]
    found = [(str(drift["object"]), str(drift["fields"])) for drift in drifts()]
    assert [about for about, _ in found] == [about for about, _ in injected], "each is told once, of the right object"
    assert all(kind in fields for (_, kind), (_, fields) in zip(injected, found, strict=True)), "and of the right field"
    by_hand = {number for number, (_, kind) in enumerate(kinds) if kind == "configDB again"}
    assert {number for number, drift in enumerate(drifts()) if drift["how"] != "healed"} == by_hand
    assert run("diff", "-f", "manifests")
    assert daemon.end() == 0


def test_manual_changes_are_reported_and_healed_once(site: Large, chance: Random, watches: list[Daemon]) -> None:
    chaos(site, chance, watches, 12)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("site", [(20, 200)], indirect=True)
def test_chaos_on_twenty_hosts(site: Large, chance: Random, watches: list[Daemon]) -> None:
    chaos(site, chance, watches, times(300))


def kills(site: Large, chance: Random, rounds: int) -> None:
    """Killed at any moment, and started again: what was done by hand is in the history, once, and is healed."""
    injected: list[str] = []
    for _ in range(rounds):
        daemon = Daemon("--heal", "--interval", "5s", "--history", "history.sqlite")
        assert daemon.named()[0] == "started"
        if chance.random() < 0.5:
            daemon.passes(1)
        name = chance.choice([name for name in site.group_names() if injected.count(name) < 1] or site.group_names())
        ON_GROUPS["access"](name)
        injected.append(name)
        time.sleep(chance.random() * 0.6)
        daemon.process.send_signal(signal.SIGKILL)
        daemon.close()
    last = Daemon("--heal", "--interval", "1s", "--history", "history.sqlite")
    last.passes(2)
    until_settled(len(set(injected)))
    assert last.end() == 0
    assert last.close() == ""
    told = Counter(str(drift["object"]) for drift in drifts())
    assert set(told) == {f"vmgroup/{name}" for name in injected}, "nothing is lost, and nothing else was seen"
    run("diff", "-f", "manifests")
    (backups,) = [sorted(Path("lab/datastores").glob("*/dockvols/*.bak-*"))]
    assert len(backups) <= min(10, len(injected)), "what was healed once was not written again"


@pytest.mark.also_slow
def test_a_watch_that_is_killed_loses_nothing(site: Large, chance: Random) -> None:
    kills(site, chance, 6)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("site", [(3, 100)], indirect=True)
def test_a_hundred_kills(site: Large, chance: Random) -> None:
    kills(site, chance, times(100))


def test_two_watches_of_one_site_do_no_harm(site: Large, chance: Random, watches: list[Daemon]) -> None:
    pair = [start(watches), start(watches)]
    for daemon in pair:
        daemon.passes(2)
    chosen = chance.sample(site.group_names(), 6)
    for number, name in enumerate(chosen, start=1):
        ON_GROUPS["access"](name)
        until_settled(number)
    assert [daemon.end() for daemon in pair] == [0, 0]
    assert {drift["object"] for drift in drifts()} == {f"vmgroup/{name}" for name in chosen}
    assert execute("UPDATE privileges SET usage_quota = usage_quota WHERE usage_quota <> 5120") == 0
    run("diff", "-f", "manifests")


def test_a_host_that_is_gone_keeps_nobody_waiting_and_is_welcome_back(site: Large, watches: list[Daemon]) -> None:
    daemon = start(watches)
    daemon.passes(2)
    gone, other = site.host_names()[:2]
    shutil.move(f"lab/hosts/{gone}", "elsewhere")
    kill = Random(1)
    for _ in site.host_names():
        kill_an_agent(daemon.process.pid, kill)
    while daemon.named() != ("unknown", f"host/{gone}"):
        pass
    link(other).unlink()
    seen = [daemon.named()]
    while seen[-1] != ("healed", f"host/{other}"):
        seen.append(daemon.named())
    shutil.move("elsewhere", f"lab/hosts/{gone}")
    while daemon.named() != ("in sync", f"host/{gone}"):
        pass
    assert daemon.end() == 0


def test_an_object_that_keeps_drifting_back_only_loses_what_is_added_to_it(site: Large, watches: list[Daemon]) -> None:
    """Whoever may write a config DB does not win an hour by three drifts."""
    daemon = start(watches)
    daemon.passes(2)
    name = site.group_names()[0]
    for number in range(1, 4):
        ON_GROUPS["access"](name)
        until_settled(number)
    while (event := daemon.next())["event"] != "braked":
        pass
    assert event["object"] == f"vmgroup/{name}"
    assert "access[shared-01].volumeTotalSize" in event["message"]
    ON_GROUPS["description"](name)
    while (event := daemon.next())["event"] != "blocked":
        pass
    assert "drifted back each time" in event["message"]
    for _ in range(4):
        ON_GROUPS["access"](name)
        while (event := daemon.next())["event"] != "healed":
            assert event["event"] == "drifted"
    assert daemon.end() == 0


def test_the_connection_to_a_host_that_is_gone_is_ended(site: Large, watches: list[Daemon]) -> None:
    *others, gone = site.host_names()
    daemon = start(watches)
    daemon.passes(2)
    pid = daemon.process.pid
    assert len(agents_of(pid)) == len(others) + 1
    manifests, inventory = Path("manifests/all.yaml"), Path("lab/inventory.json")
    documents = manifests.read_text().split("\n---\n")
    manifests.write_text("\n---\n".join(one for one in documents if f"name: {gone}}}" not in one))
    known = json.loads(inventory.read_text())
    known["hosts"] = [host for host in known["hosts"] if host["name"] != gone]
    inventory.write_text(json.dumps(known))
    wait_for(lambda: len(agents_of(pid)) == len(others))
    daemon.passes(2)
    assert len(agents_of(pid)) == len(others)
    assert daemon.end() == 0


def test_an_undeclared_host_is_reported_once(site: Large, watches: list[Daemon]) -> None:
    stranger, other = site.host_names()[-1], site.host_names()[0]
    manifests = Path("manifests/all.yaml")
    documents = manifests.read_text().split("\n---\n")
    manifests.write_text("\n---\n".join(one for one in documents if f"name: {stranger}}}" not in one))
    watches.append(Daemon("--heal", "--interval", "1s", "--history", "history.sqlite"))
    link(other).unlink()
    wait_for(lambda: "healed" in events(f"host/{other}"))
    watches[-1].passes(3)
    assert events(f"host/{stranger}") == ["unmanaged"]
    assert watches[-1].end() == 0


def test_an_old_copy_of_a_config_db_is_reported_group_by_group(site: Large, watches: list[Daemon]) -> None:
    (database,) = Path("lab/datastores").glob("*/dockvols/vmdkops_config.db")
    shutil.copy(database, "old.db")
    manifests = Path("manifests/all.yaml")
    manifests.write_text(manifests.read_text().replace("volumeTotalSize: 5GB", "volumeTotalSize: 6GB"))
    run("apply", "-f", "manifests")
    daemon = start(watches)
    daemon.passes(2)
    shutil.copy("old.db", database.with_name("swapped"))
    database.with_name("swapped").replace(database)
    groups = {f"vmgroup/{name}" for name in site.group_names()}
    wait_for(lambda: all(events(name)[:1] == ["blocked"] for name in groups))
    told = {str(drift["object"]): drift["fields"] for drift in drifts()}
    assert told == {name: ["access[shared-01].volumeTotalSize"] for name in groups}
    assert execute("UPDATE privileges SET usage_quota = usage_quota WHERE usage_quota = 5120") == len(groups)
    run("apply", "-f", "manifests")
    until_settled(len(groups))
    assert daemon.end() == 0


def test_what_was_healed_survives_a_reboot(site: Large, watches: list[Daemon]) -> None:
    host = site.host_names()[0]
    daemon = start(watches)
    daemon.passes(2)
    ON_HOSTS["persistence"](host)
    until_settled(1)
    run("lab", "reboot", host, "--directory", "lab")
    assert link(host).is_symlink()
    run("diff", "-f", "manifests")
    assert daemon.end() == 0


def test_the_end_waits_for_what_is_being_written(site: Large, watches: list[Daemon]) -> None:
    """SIGTERM in the middle of a pass that heals: the pass ends first, and what it wrote is whole and told."""
    daemon = start(watches)
    daemon.passes(2)
    for name in site.group_names():
        ON_GROUPS["access"](name)
    wait_for(lambda: len(drifts()) > 0)  # told, and about to be healed
    assert daemon.end() == 0
    assert all(drift["how"] == "healed" for drift in drifts())
    watches.append(Daemon("--heal", "--interval", "1s", "--history", "history.sqlite"))
    watches[-1].passes(2)
    until_settled(1)
    run("diff", "-f", "manifests")
    assert watches[-1].end() == 0


def test_a_link_replaced_by_a_file_is_reported_for_its_host(site: Large, watches: list[Daemon]) -> None:
    host = site.host_names()[0]
    daemon = start(watches)
    daemon.passes(2)
    (database,) = Path("lab/datastores").glob("*/dockvols/vmdkops_config.db")
    target = link(host).readlink()
    link(host).unlink()
    shutil.copy(database, link(host))
    wait_for(lambda: bool(events(f"host/{host}")))
    wait_for(lambda: events(f"host/{host}")[0] in ("healed", "blocked"))
    if not link(host).is_symlink():
        link(host).unlink()
        link(host).symlink_to(target)
    until_settled(1)
    assert [drift["fields"] for drift in drifts()] in ([["configDB"]], [[]])
    assert daemon.end() == 0


def test_dead_rows_are_reported_for_their_config_db(site: Large, watches: list[Daemon]) -> None:
    daemon = start(watches)
    daemon.passes(2)
    execute("INSERT INTO vms (vm_id, tenant_id, vm_name) VALUES ('564d0000-0000-0000-0000-00000000dead', 'gone', 'x')")
    wait_for(lambda: bool(events("configdb/shared")))
    wait_for(lambda: events("configdb/shared")[0] in ("healed", "blocked"))
    if events("configdb/shared")[0] == "blocked":
        execute("DELETE FROM vms WHERE tenant_id = 'gone'")
    until_settled(1)
    assert daemon.end() == 0


def test_other_names_of_vms_and_datastores_are_no_drift(site: Large, watches: list[Daemon]) -> None:
    """vDVS goes by ids: nothing is told, and nothing written, as long as the manifests can be looked up."""
    daemon = start(watches)
    daemon.passes(2)
    inventory = Path("lab/inventory.json")
    data = json.loads(inventory.read_text())
    unused = next(datastore for datastore in data["datastores"] if datastore["name"] != "shared-01")
    unused["name"] = "renamed"
    data["vms"][-1]["name"] += "-renamed"
    before = inventory.with_name("new.json")
    before.write_text(json.dumps(data))
    before.replace(inventory)
    owner = f"vmgroup/{site.group_names()[-1]}"  # its manifest names the VM as it was
    wait_for(lambda: bool(events(owner)))
    assert events(owner) == ["blocked"]
    assert {drift["object"] for drift in drifts()} <= {owner}
    assert daemon.end() == 0


def test_too_many_changes_at_once_are_none(site: Large, watches: list[Daemon]) -> None:
    """Somebody restored an old copy, or pointed a watch at the wrong site: that is not for a watch to put right."""
    daemon = start(watches, "--max-changes", "50%")
    daemon.passes(2)
    groups = len(site.group_names())
    assert execute("UPDATE privileges SET usage_quota = 99999") == groups
    told = [daemon.next() for _ in range(2 * groups)]
    widened = [event for event in told if event["event"] == "access stays widened"]
    assert len(widened) == groups
    assert all("12 objects would be changed at once, and --max-changes allows 8" in e["message"] for e in widened)
    assert execute("UPDATE privileges SET usage_quota = 5120 WHERE usage_quota = 99999") == groups
    until_settled(groups)
    assert daemon.end() == 0
