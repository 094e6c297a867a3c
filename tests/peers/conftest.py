"""Servers that the tests of this folder talk to: started here, ended here."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.peers import sshd, vcsim


def need(missing: list[str]) -> None:
    """What is missing is a failure where CI is set, and a skip elsewhere."""
    if missing:
        reason = f"not installed: {', '.join(missing)} (`make peers` installs them)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)


@pytest.fixture(autouse=True)
def state_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What one run remembers for the next is forgotten after each test."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg-state"))


@pytest.fixture(autouse=True)
def site_of_the_operator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Site of a test is what the operator gives, wherever it lies."""
    monkeypatch.setenv("VDVS_SITE", str(tmp_path / "manifests/site.yaml"))


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[sshd.Fleet]:
    """Real OpenSSH servers."""
    need(sshd.MISSING)
    made = sshd.Fleet(tmp_path / "fleet")
    yield made
    made.stop()


@pytest.fixture
def vcenter_size() -> tuple[str, ...]:
    """A datacenter, a cluster of two hosts with two VMs, a standalone host with two more."""
    return ("-host", "2")


@pytest.fixture
def vcenter(tmp_path: Path, vcenter_size: tuple[str, ...]) -> Iterator[vcsim.Simulator]:
    """A real vCenter simulator."""
    need(vcsim.MISSING)
    made = vcsim.Simulator(tmp_path / "vcsim", *vcenter_size)
    made.start()
    yield made
    made.stop()
