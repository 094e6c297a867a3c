"""An agent that stays up says what a new one says, though it works out again only what may have changed."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from reconciler import lab
from reconciler.agent.host import facts, look
from reconciler.agent.main import answer
from reconciler.agent.paths import Root
from reconciler.lab.breakage import DRIFTS, break_lab
from reconciler.model.errors import UsageError
from tests.e2e.site import LabSite

HOST = "esxiz10"


def forget() -> None:
    for cache in (facts._kept_drivers, facts._secure_boot_cache, facts._service_cache):
        cache.clear()


def seen(root: Root) -> Any:
    """All but the answer of esxcli that is kept: it is not for the first two seconds."""
    host = answer(root, {"id": 1, "do": "observe", "deadline": 0})["result"]["host"]
    del host["kept_driver"]
    return host


@pytest.fixture(scope="module")
def in_sync(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = LabSite(tmp_path_factory.mktemp("site"))
    made.reconcile()
    return made.lab


@pytest.fixture
def site(in_sync: Path, tmp_path: Path) -> Path:
    """A lab in sync."""
    return shutil.copytree(in_sync, tmp_path / "lab", symlinks=True)


@pytest.mark.parametrize("drift", DRIFTS)
def test_after_every_drift_it_says_what_a_new_agent_says(drift: str, site: Path) -> None:
    forget()
    old = Root(str(lab.host_root(site, HOST)))
    for _ in range(3):
        seen(old)
    assert old.last_look.holds()
    with suppress(UsageError):  # it is one of vSAN, or of volumes, of which there are none here
        break_lab(site, drift, HOST)
    facts._secure_boot_cache.clear()  # which changes with a reboot only, and that ends every agent
    after = seen(old)
    forget()
    assert after == seen(Root(old.folder))


def test_nothing_is_worked_out_again_if_nothing_changed(site: Path) -> None:
    forget()
    root = Root(str(lab.host_root(site, HOST)))
    for _ in range(2):
        seen(root)
    kept = root.last_look
    worked_out = {what: kept.once(what) for what in kept._follows}
    seen(root)
    assert root.last_look is kept
    assert all(kept.once(what) is value for what, value in worked_out.items())
    (Path(root.folder) / "etc/rc.local.d/local.sh").write_text("exit 0\n")
    assert seen(root)["local_sh"]["text"] == "exit 0\n"
    assert root.last_look is not kept


def test_an_answer_that_changes_while_a_host_is_looked_at_is_not_kept(tmp_path: Path) -> None:
    root = Root(str(tmp_path))
    look.begin(root)
    one = look.begin(root)
    assert one.ask(os.listdir, str(tmp_path)) == []
    assert look.begin(root) is one
    (tmp_path / "new").touch()
    assert one.ask(os.listdir, str(tmp_path)) == ["new"]
    (tmp_path / "new").unlink()
    assert look.begin(root) is not one


def test_a_question_that_fails_is_asked_anew(tmp_path: Path) -> None:
    root = Root(str(tmp_path))
    look.begin(root)
    one = look.begin(root)
    with pytest.raises(FileNotFoundError):
        one.ask(os.listdir, str(tmp_path / "none"))
    assert look.begin(root) is not one
    two = look.begin(root)
    (tmp_path / "folder").mkdir()
    two.ask(os.listdir, str(tmp_path / "folder"))
    (tmp_path / "folder").rmdir()
    assert look.begin(root) is not two
