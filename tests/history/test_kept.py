"""The file of the last applies: what one side keeps, another process may read and add to."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from reconciler.history.kept import KeptFile
from reconciler.model.errors import VdvsError
from reconciler.model.kinds.host import Presence
from reconciler.model.ownership import Declared, Kept, Record

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def kept(*names: str) -> dict[str, Kept]:
    """What is kept of the ConfigDB `shared` after these were applied."""
    records = {
        name: Record(name, None, "", f"digest of {name}", None, False, "ann@ws", NOON, "", claimed=False)
        for name in names
    }
    declared = {name: Declared(f"digest of {name}", default_vmgroup=Presence.ABSENT) for name in names}
    return {"shared": Kept("/vmfs/volumes/one/db", records, declared)}


def test_what_is_kept_is_what_a_new_process_reads(tmp_path: Path) -> None:
    file = KeptFile(tmp_path / "applied.json")
    file.merge(file.read(), kept("one", "two"))
    assert file.read() == KeptFile(tmp_path / "applied.json").read() == kept("one", "two")


def test_what_it_wrote_itself_is_not_decoded_again(tmp_path: Path) -> None:
    file = KeptFile(tmp_path / "applied.json")
    wanted = kept("one")
    file.merge(file.read(), wanted)
    assert file.read()["shared"] is wanted["shared"]


def test_what_another_process_kept_meanwhile_stays(tmp_path: Path) -> None:
    ours, theirs = (KeptFile(tmp_path / "applied.json") for _ in range(2))
    ours.merge({}, kept("one"))
    before = ours.read()
    theirs.merge(theirs.read(), kept("one", "theirs"))
    ours.merge(before, kept("one", "ours"))
    assert ours.read()["shared"].records.keys() == {"one", "ours", "theirs"}
    assert theirs.read() == ours.read()


def test_a_damaged_file_is_not_overwritten(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    place = tmp_path / "applied.json"
    file = KeptFile(place)
    file.merge({}, kept("one"))
    place.write_text("{")
    assert file.read() == {}
    assert "is damaged" in caplog.text
    with pytest.raises(VdvsError, match="is damaged"):
        file.merge({}, kept("two"))
    assert place.read_text() == "{"
