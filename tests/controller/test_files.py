"""Real files, real inotify: every way in which manifests change is noticed, and other changes are not."""

from __future__ import annotations

import errno
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from watchdog.observers.polling import PollingObserver

from reconciler.controller.files import ManifestFiles

SOON = 5.0
QUIET = 0.3


class Watched:
    """A folder of manifests and one single file, watched."""

    def __init__(self, root: Path) -> None:
        self.folder = root / "manifests"
        self.file = root / "single.yaml"
        (self.folder / ".vdvs-lab").mkdir(parents=True)
        (self.folder / "a.yaml").write_text("a")
        self.file.write_text("a")
        self._heard = threading.Event()
        self.files = ManifestFiles([str(self.folder), str(self.file)], self._heard.set)

    def hears(self, deed: Callable[[], object]) -> bool:
        self._heard.clear()
        deed()
        return self._heard.wait(SOON)

    def ignores(self, deed: Callable[[], object]) -> bool:
        self._heard.clear()
        deed()
        return not self._heard.wait(QUIET)


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    made = Watched(tmp_path)
    made.files.start()
    yield made
    made.files.stop()


def replace_file(path: Path) -> None:
    """Replace a file as editors and git do."""
    beside = path.with_suffix(".tmp")
    beside.write_text("new")
    beside.rename(path)


def test_what_is_noticed(watched: Watched) -> None:
    inside = watched.folder / "a.yaml"
    assert watched.hears(lambda: inside.write_text("b"))
    assert watched.hears(lambda: replace_file(inside))
    assert watched.hears(lambda: replace_file(inside))
    assert watched.hears(lambda: (watched.folder / "sub").mkdir())
    watched.files.rearm()  # as before every pass
    assert watched.hears(lambda: (watched.folder / "sub" / "new.yml").write_text("x"))
    assert watched.hears(inside.unlink)
    assert watched.hears(lambda: watched.file.write_text("b"))
    assert watched.hears(lambda: replace_file(watched.file))
    assert watched.hears(lambda: replace_file(watched.file))


def test_what_is_none_of_ours(watched: Watched) -> None:
    assert watched.ignores((watched.folder / "a.yaml").read_text)
    assert watched.ignores(lambda: (watched.folder / ".vdvs-lab" / "site.yaml").write_text("x"))
    assert watched.ignores(lambda: (watched.file.parent / "other.yaml").write_text("x"))


def test_a_folder_that_vanishes_and_returns(watched: Watched) -> None:
    for _ in range(3):
        assert watched.hears(lambda: shutil.rmtree(watched.folder))
        watched.files.rearm()
        assert watched.hears(watched.folder.mkdir)
        watched.files.rearm()
        assert watched.hears(lambda: (watched.folder / "b.yaml").write_text("x"))


def test_a_folder_that_is_swapped_for_another(watched: Watched, tmp_path: Path) -> None:
    def swap() -> None:
        watched.folder.rename(tmp_path / "old")
        (tmp_path / "new").rename(watched.folder)

    (tmp_path / "new").mkdir()
    assert watched.hears(swap)
    watched.files.rearm()
    assert watched.hears(lambda: (watched.folder / "b.yaml").write_text("x"))


def test_one_that_is_not_there_yet(tmp_path: Path) -> None:
    heard = threading.Event()
    files = ManifestFiles([str(tmp_path / "later" / "manifests")], heard.set)
    files.start()
    try:
        (tmp_path / "later" / "manifests").mkdir(parents=True)
        assert heard.wait(SOON)
    finally:
        files.stop()


def test_links_out_of_the_folder_are_not_watched(watched: Watched, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (watched.folder / "all").symlink_to("/")
    (watched.folder / "out").symlink_to("../elsewhere")
    watched.files.rearm()
    while not watched.ignores(lambda: None):
        pass  # the links themselves were noticed
    assert watched.ignores(lambda: (tmp_path / "elsewhere" / "a.yaml").write_text("x"))
    assert watched.hears(lambda: (watched.folder / "a.yaml").write_text("b"))


def test_the_folder_behind_a_link_inside_is_watched(watched: Watched) -> None:
    """As Kubernetes mounts a ConfigMap."""
    (watched.folder / "..2026_1").mkdir()
    (watched.folder / "..2026_1" / "b.yaml").write_text("x")
    (watched.folder / "..data").symlink_to("..2026_1")
    (watched.folder / "b.yaml").symlink_to("..data/b.yaml")
    watched.files.rearm()
    assert watched.hears(lambda: (watched.folder / "..2026_1" / "b.yaml").write_text("y"))


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENOSPC])
def test_a_limit_of_inotify_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    class Limited(PollingObserver):
        def schedule(self, *_args: object, **_options: object) -> NoReturn:
            raise OSError(number, "inotify limit reached")

    monkeypatch.setattr("reconciler.controller.files.Observer", Limited)
    told: list[str] = []
    (tmp_path / "a").mkdir()
    watching = ManifestFiles([str(tmp_path), str(tmp_path / "a")], lambda: None, told.append)
    watching.start()
    watching.stop()
    assert len(told) == 1
    assert told[0].startswith("inotify: inotify limit reached (see fs.inotify.max_user_")


def test_more_folders_than_can_be_watched_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reconciler.controller.files.MOST_FOLDERS", 3)
    for number in range(5):
        (tmp_path / str(number)).mkdir()
    told: list[str] = []
    watching = ManifestFiles([str(tmp_path)], lambda: None, told.append)
    watching.start()
    watching.stop()
    assert told == [
        "there are more than 3 folders of manifests; so changes of manifests are noticed at the next pass, not at once"
    ]
