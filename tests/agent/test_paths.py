"""Host paths inside a root: nothing leads out of it except the datastores of its lab."""

from __future__ import annotations

from pathlib import Path

import pytest

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
