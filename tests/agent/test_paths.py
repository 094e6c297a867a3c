"""Host paths inside a root: nothing leads out of it but the datastores of its lab."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.agent.host import look
from reconciler.agent.paths import Root
from reconciler.agent.wire import Refused


@pytest.fixture
def root(tmp_path: Path) -> Root:
    """A lab: `host` is the root, its datastores lie beside it."""
    volumes = tmp_path / "host/vmfs/volumes"
    volumes.mkdir(parents=True)
    (tmp_path / "datastores/id-1").mkdir(parents=True)
    (volumes / "id-1").symlink_to("../../../datastores/id-1")
    (volumes / "SHARED").symlink_to("id-1")
    (volumes / "old-name").symlink_to("SHARED")
    return Root(str(tmp_path / "host"))


def beside(root: Root, path: str) -> str:
    return str(Path(root.folder).parent / path)


def test_a_datastore_of_the_lab_is_mounted_and_an_absolute_link_on_it_comes_back(root: Root) -> None:
    (Path(root.folder).parent / "datastores/id-1/up").symlink_to("/etc/x")
    assert root.real("/vmfs/volumes/SHARED/a") == beside(root, "datastores/id-1/a")
    assert root.real("/vmfs/volumes/SHARED/up/y") == beside(root, "host/etc/x/y")


@pytest.mark.parametrize("path", ["/..", "/../../etc", "/vmfs/../../.."])
def test_a_given_path_cannot_leave_the_root(root: Root, path: str) -> None:
    assert root.real(path).startswith(root.folder)


def test_an_absolute_link_cannot_leave_the_root(root: Root) -> None:
    (Path(root.folder) / "out").symlink_to("/../../..")
    assert root.real("/out/etc") == beside(root, "host/etc")


def test_the_last_link_is_followed_only_if_asked(root: Root) -> None:
    (Path(root.folder) / "link").symlink_to("/target")
    assert root.real("/link") == beside(root, "host/target")
    assert root.real("/link", last=False) == beside(root, "host/link")


def test_a_circle_of_links_is_refused(root: Root) -> None:
    (Path(root.folder) / "a").symlink_to("/b")
    (Path(root.folder) / "b").symlink_to("a")
    with pytest.raises(Refused, match="circle"):
        root.real("/a")


@pytest.mark.parametrize(
    ("path", "canonical"),
    [
        ("/vmfs/volumes/SHARED/dockvols/x", "/vmfs/volumes/id-1/dockvols/x"),
        ("/vmfs/volumes/old-name", "/vmfs/volumes/id-1"),
        ("/vmfs/volumes/id-1/dockvols/x", "/vmfs/volumes/id-1/dockvols/x"),
        ("/vmfs/volumes/unknown/x", "/vmfs/volumes/unknown/x"),
        ("//vmfs//volumes/./SHARED/a/../b/", "/vmfs/volumes/id-1/b"),
        ("/etc/vmware", "/etc/vmware"),
    ],
)
def test_the_path_by_volume_id(root: Root, path: str, canonical: str) -> None:
    assert root.canonical(path) == canonical


def test_mounted_volumes(root: Root) -> None:
    (Path(root.folder) / "vmfs/volumes/broken").symlink_to("../../../datastores/gone")
    assert root.volumes() in ({"id-1": "SHARED"}, {"id-1": "old-name"})
    assert root.mounted("/vmfs/volumes/SHARED/x")
    assert not root.mounted("/vmfs/volumes/broken/x")
    assert not root.mounted("/vmfs/volumes/gone")


OUT = {
    "far up": ("out", "../../../../../../../../etc"),
    "beside": ("out", "../secret"),
    "through a datastore": ("vmfs/volumes/id-1/out", "../../secret"),
    "up from a datastore and down again": ("vmfs/volumes/id-1/out", "../id-1/../../../../secret"),
    "by a chain": ("out", "one"),
    "as a datastore that is none": ("vmfs/volumes/out", "../../../secret"),
    "as a datastore of another id": ("vmfs/volumes/out", "../../../datastores/id-1"),
    "as a datastore that leads on": ("vmfs/volumes/led-on", "../../../datastores/led-on"),
}


@pytest.mark.parametrize("how", OUT)
def test_no_relative_link_leads_out_of_the_lab(root: Root, how: str) -> None:
    lab = Path(root.folder).parent
    (lab / "secret").mkdir()
    (lab / "secret/file").write_text("mine")
    (lab / "datastores/led-on").symlink_to("../secret")
    (Path(root.folder) / "one").symlink_to("./two")
    (Path(root.folder) / "two").symlink_to("vmfs/../../secret")
    place, target = OUT[how]
    (Path(root.folder) / place).symlink_to(target)
    for path in (f"/{place}", f"/{place}/file", f"/{place}/../secret/file", f"/{place}/../../../../secret/file"):
        real = Path(root.real(path))
        assert not real.is_file()
        assert real.is_relative_to(root.folder) or real.is_relative_to(lab / "datastores/id-1")
        assert real.resolve().is_relative_to(root.folder) or real.resolve().is_relative_to(lab / "datastores/id-1")
    assert set(root.volumes()) == {"id-1"}


def test_a_chain_of_relative_links_inside_is_followed(root: Root) -> None:
    (Path(root.folder) / "a").symlink_to("./vmfs/../b")
    (Path(root.folder) / "b").symlink_to("vmfs/volumes/SHARED/../id-1")
    assert root.real("/a/x") == beside(root, "datastores/id-1/x")


def test_the_root_of_a_real_host_has_no_mounts(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder/../folder")
    assert Root("/").real(f"{tmp_path}/link/x") == str(tmp_path.resolve() / "folder/x")


def test_a_relative_circle_is_refused(root: Root) -> None:
    (Path(root.folder) / "c").symlink_to("./vmfs/../d")
    (Path(root.folder) / "d").symlink_to("../../c")
    with pytest.raises(Refused, match="circle"):
        root.real("/c/x")


NAMES = ["a", "b", "c"]
STEPS = st.sampled_from([*NAMES, "..", "."])
PATHS = st.lists(STEPS, min_size=1, max_size=5).map("/".join)
TREES = st.lists(st.tuples(PATHS, st.one_of(st.none(), PATHS, PATHS.map(lambda path: "/" + path))), max_size=8)


def grow(folder: Path, tree: list[tuple[str, str | None]]) -> None:
    """Folders, and links to these targets; what cannot be made is left out."""
    for path, target in tree:
        name = folder / path.replace("..", "up").replace(".", "dot")
        with contextlib.suppress(OSError):
            name.parent.mkdir(parents=True, exist_ok=True)
            name.mkdir() if target is None else name.symlink_to(target)


def told(ask: Callable[..., object], *about: object) -> object:
    try:
        return ask(*about)
    except Refused as refused:
        return refused.reason


@given(TREES, st.lists(st.tuples(PATHS.map(lambda path: "/" + path), st.booleans()), min_size=1, max_size=12))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_within_one_look_every_path_leads_where_it_always_does(
    tmp_path_factory: pytest.TempPathFactory, tree: list[tuple[str, str | None]], asked: list[tuple[str, bool]]
) -> None:
    folder = tmp_path_factory.mktemp("lab")
    (folder / "datastores").mkdir()
    (folder / "host/vmfs/volumes").mkdir(parents=True)
    (folder / "host/vmfs/volumes/a").symlink_to("../../../datastores")
    (folder / "host/a").symlink_to("vmfs/volumes/a")
    grow(folder / "host", tree)
    grow(folder / "datastores", tree)
    root = Root(str(folder / "host"))
    still = look.Look(root)
    assert [told(still.real, path, last) for path, last in asked] == [
        told(root.real, path, last) for path, last in asked
    ]
    shutil.rmtree(folder)


@given(st.lists(st.tuples(TREES, st.booleans()), min_size=2, max_size=4))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_in_the_next_look_every_path_leads_where_it_does_by_then(
    tmp_path_factory: pytest.TempPathFactory, moments: list[tuple[list[tuple[str, str | None]], bool]]
) -> None:
    folder = tmp_path_factory.mktemp("lab")
    (folder / "host").mkdir()
    root = Root(str(folder / "host"))
    for tree, is_mounted in moments:
        for name in ("host/a", "host/b", "host/c", "host/vmfs", "datastores"):
            (folder / name).unlink() if (folder / name).is_symlink() else shutil.rmtree(folder / name, True)
        (folder / "host/vmfs/volumes").mkdir(parents=True)
        (folder / "host/vmfs/volumes/a").symlink_to("../../../datastores/a")
        (folder / "datastores" / ("a" if is_mounted else "b")).mkdir(parents=True)
        grow(folder / "host", tree)
        grow(folder / "host/vmfs/volumes", tree)
        for path in ("/a/b/c", "/b", "/c/a", "/vmfs/volumes/a/b", "/vmfs/volumes/b/c", "/vmfs/volumes/c"):
            for last in (False, True):
                assert told(look.begin(root).real, path, last) == told(root.real, path, last)
            assert look.begin(root).canonical(path) == root.canonical(path)
            assert told(look.begin(root).mounted, path) == told(root.mounted, path)
        assert told(look.begin(root).volumes) == told(root.volumes)
    shutil.rmtree(folder)


def test_a_look_with_nothing_changed_follows_no_path_again(root: Root) -> None:
    for _ in range(2):
        still = look.begin(root)
        still.real("/vmfs/volumes/SHARED/x")
    assert look.begin(root) is still
    (Path(root.folder) / "vmfs/volumes/SHARED").unlink()
    assert look.begin(root) is not still


def test_paths_of_long_ago_are_forgotten(root: Root) -> None:
    look.begin(root)
    still = look.begin(root)
    for number in range(1000):
        still.real(f"/vmfs/volumes/SHARED/{number}")
    assert look.begin(root) is not still
