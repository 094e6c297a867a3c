"""The list of kinds is complete, and so is the loader's table."""

from __future__ import annotations

from reconciler.loader.kinds import LOADERS
from reconciler.model.refs import KINDS, RECONCILED, Kind


def test_every_kind_is_listed_in_the_order_of_output() -> None:
    assert list(KINDS) == list(Kind)
    assert [kind for kind in Kind if kind not in RECONCILED] == [Kind.SITE, Kind.MEMBERSHIP]
    assert [kind for kind, spec in KINDS.items() if spec.alone] == [Kind.SITE]


def test_every_kind_can_be_loaded() -> None:
    assert set(LOADERS) == set(Kind)


def test_no_name_means_two_kinds() -> None:
    names = [name for spec in KINDS.values() for name in spec.names]
    assert len(names) == len(set(names))
    assert all(spec.singular == kind.lower() == spec.names[0] for kind, spec in KINDS.items())
