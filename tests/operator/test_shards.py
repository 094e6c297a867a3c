"""Which replica should have which site, whatever their names."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from reconciler.operator.replicas.shards import owner

names = st.text(st.characters(codec="ascii", categories=("Ll", "Nd"), include_characters="-."), min_size=1)
SITES = [f"site-{number}" for number in range(300)]


@given(names, st.lists(names, min_size=1, unique=True), st.randoms())
def test_all_who_see_the_same_replicas_agree_in_whatever_order_they_see_them(
    site: str, replicas: list[str], chance: object
) -> None:
    shuffled = sorted(replicas, key=lambda _: chance.random())  # type: ignore[attr-defined]
    assert owner(site, replicas) == owner(site, shuffled)
    assert owner(site, replicas) in replicas


@given(names, st.lists(names, min_size=2, unique=True), st.data())
def test_a_replica_that_leaves_moves_its_own_sites_only_and_one_that_joins_takes_them_for_itself(
    site: str, replicas: list[str], data: st.DataObject
) -> None:
    leaving = data.draw(st.sampled_from(replicas))
    rest = [replica for replica in replicas if replica != leaving]
    before, after = owner(site, replicas), owner(site, rest)
    assert before in (after, leaving)


def test_no_replicas_have_no_site() -> None:
    assert owner("site", ()) is None


def test_three_replicas_have_about_a_third_each() -> None:
    shares = Counter(owner(site, ("a", "b", "c")) for site in SITES)
    assert all(70 <= shares[replica] <= 130 for replica in ("a", "b", "c"))
