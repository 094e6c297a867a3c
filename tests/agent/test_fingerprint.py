"""The fingerprint: what changes it, and what does not."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pytest

from tests.agent.world import DB, G1, G2, URL, Agent, vmgroup

PYTHONS = sorted(Path("~/.pyenv/versions").expanduser().glob("*/bin/python"))


def test_the_order_of_writing_does_not_matter(tmp_path: Path) -> None:
    one, other = Agent(tmp_path / "one"), Agent(tmp_path / "other")
    first = one.create([vmgroup(G1, "G1")], [vmgroup(G2, "G2")])["fingerprint"]
    assert first == other.create([vmgroup(G2, "G2")], [vmgroup(G1, "G1")])["fingerprint"]


def test_null_empty_one_and_text_all_differ(ready: Agent) -> None:
    found = []
    for value in ("NULL", "''", "'NULL'", "x''", "'a'", "x'61'", "'1'"):
        ready.sql(f"UPDATE tenants SET description = {value}")
        found.append(ready.look()["fingerprint"])
    for value in ("1", "'x'", "1.5"):
        ready.sql("UPDATE tenants SET description = ''", f"UPDATE privileges SET usage_quota = {value}")
        found.append(ready.look()["fingerprint"])
    assert all(one != other for one, other in combinations(found, 2))


def test_the_books_and_our_own_table_are_no_part_of_it(ready: Agent) -> None:
    before = ready.look()["fingerprint"]
    ready.sql(f"INSERT INTO volumes VALUES ('{G1}', '{URL}', 'v', 1)", "DELETE FROM vdvs_meta")
    assert ready.look()["fingerprint"] == before


@pytest.mark.skipif(not PYTHONS, reason="no other Pythons here")
def test_it_is_the_same_on_every_python(ready: Agent) -> None:
    ready.sql(
        "UPDATE tenants SET description = '\u00e9\U0001f600\"\\' WHERE name = 'G1'",
        "UPDATE tenants SET description = CAST(x'61ff62' AS TEXT) WHERE name = 'G2'",
        "UPDATE vms SET vm_name = x'00ff'",
        "UPDATE privileges SET usage_quota = 1.1, max_volume_size = 9223372036854775807",
    )
    question = {"do": "observe", "config_dbs": [{"path": DB, "fingerprint": None}]}
    here = ready.look()
    for python in PYTHONS:
        _, reply = ready.talk(str(python), question)
        assert reply["result"]["config_dbs"][DB] == here, python
