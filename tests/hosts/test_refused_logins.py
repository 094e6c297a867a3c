"""What is remembered of refused logins; `tests/peers/test_ssh.py` has a server that refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.hosts import refused_logins
from reconciler.hosts.refused_logins import RefusedLogins
from reconciler.model.kinds.site import SSH, Credentials, Login, Secret

BY_SSH = SSH("root", 22, None, None, Credentials(), 10, 8, False)
LOGIN = Login("root", Secret("s3cret"))


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refused_logins, "_COST", 2)


def test_whoever_removes_the_file_is_let_try_again_by_a_run_that_goes_on(tmp_path: Path) -> None:
    refused = RefusedLogins(tmp_path / "refused")
    refused.remember("esx1:22", LOGIN, BY_SSH, "refused")
    (file,) = (tmp_path / "refused").iterdir()
    said = refused.why_not("esx1:22", LOGIN, BY_SSH)
    assert said == f"refused; not tried again with the same login (to try it all the same, remove {file})"
    file.unlink()
    assert refused.why_not("esx1:22", LOGIN, BY_SSH) is None


def test_in_memory_is_only_what_no_file_keeps(tmp_path: Path) -> None:
    folder = tmp_path / "refused"
    folder.write_text("a file")
    refused = RefusedLogins(folder)
    refused.remember("esx1:22", LOGIN, BY_SSH, "refused")
    assert refused.why_not("esx1:22", LOGIN, BY_SSH) == "refused; not tried again with the same login"
    folder.unlink()
    refused.remember("esx1:22", LOGIN, BY_SSH, "refused")
    assert refused._known == {}
    assert len(list(folder.iterdir())) == 1
