"""No action of a lab's host reaches anything outside its folder and the datastores mounted there."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler import lab
from reconciler.lab.rooted import Rooted
from reconciler.model.errors import VdvsError
from tests.lab.world import OURS, SHARED, Host, tree


@pytest.fixture
def canary(directory: Path) -> Path:
    """Files around the lab, and links from the host to them: absolute, and by many `..`."""
    place = directory.parent / "canary"
    (place / "folder").mkdir(parents=True)
    (place / "file").write_text("alive")
    root = lab.host_root(directory, "esxiz10")
    (root / "out-absolute").symlink_to(place)
    (root / "out-relative").symlink_to("../../../canary")
    (root / "out-deep").symlink_to("../" * 40 + str(place).lstrip("/"))
    (root / "out-file").symlink_to(place / "file")
    (root / "mirror").symlink_to("/")
    (root / "bin-of-machine").symlink_to("/bin")
    return place


def do(system: Rooted, step: str) -> None:
    """Run one step (`remove PATH`, `mkdir PATH`, `link PATH TARGET`) as the lab does, if possible."""
    what, path, *target = step.split(" ")
    try:
        if what == "remove":
            system.remove(system.find(path, follow=False))
        elif what == "mkdir":
            system.make_folders(path)
        else:
            system.real(path, follow=False).symlink_to(target[0])
    except OSError:
        pass


ATTEMPTS = [
    ["remove /"],
    ["remove //"],
    ["remove /.."],
    ["remove .."],
    ["remove ../../.."],
    ["remove /out-absolute/", "remove /out-relative/", "remove /out-deep/", "remove /out-file"],
    ["remove /out-absolute/folder", "remove /out-relative/folder", "remove /out-deep/folder"],
    ["remove {canary}/file", "remove {canary}"],
    ["remove ../../../canary"],
    ["remove /vmfs/../../../../canary"],
    ["remove /vmfs/volumes/../../../../../canary"],
    [f"remove /vmfs/volumes/{SHARED}/../../../../canary"],
    ["link {canary}/evil x"],
    ["link /out-absolute/evil x", "link /out-relative/evil x", "link /out-deep/evil x"],
    ["link /l {canary}", "link /l/evil x", "mkdir /l/more", "remove /l/folder", "remove /l/"],
    ["link /l ../../../canary", "link /l/evil x", "mkdir /l/more", "remove /l/folder"],
    ["mkdir {canary}/evil", "mkdir /out-relative/evil", "mkdir ../../../canary/evil", "mkdir /../evil"],
    ["mkdir /out-absolute/a/b/c"],
]


@pytest.mark.parametrize("attempt", ATTEMPTS, ids=lambda steps: str(steps[0]))
def test_nothing_gets_out(host: Host, canary: Path, attempt: list[str]) -> None:
    other = lab.host_root(host.directory, "esxiz20")
    before = tree(canary), tree(other), tree(host.directory / "datastores")
    for step in attempt:
        do(Rooted(host.root), step.format(canary=canary))
    assert (tree(canary), tree(other), tree(host.directory / "datastores")) == before
    assert (host.directory / "inventory.json").is_file()
    assert {entry.name for entry in canary.parent.iterdir()} == {"canary", "lab"}


@pytest.mark.parametrize("folder", ["etc", "etc/vmware"])
@pytest.mark.parametrize("target", ["out-absolute", "../out-relative", "/out-deep", "/mirror/out-absolute"])
def test_a_reboot_follows_no_link_out(host: Host, canary: Path, folder: str, target: str) -> None:
    host.write_local_sh("#!/bin/sh\n" + OURS)
    before = tree(canary)
    (host.root / folder).rename(host.root / "away")
    (host.root / folder).symlink_to(target)
    with suppress(VdvsError):  # the host is not one any more
        host.reboot()
    assert tree(canary) == before


def test_the_whole_host_can_go_but_not_its_mounts(host: Host, canary: Path) -> None:
    before = tree(canary), tree(host.directory / "datastores")
    for path in ("/vmfs", "/etc", "/var", "/mirror/usr", "/"):
        do(Rooted(host.root), f"remove {path}")
    assert (host.root / "vmfs/volumes" / SHARED).is_symlink()
    assert not (host.root / "etc").exists()
    assert not (host.root / "usr").exists()
    assert (tree(canary), tree(host.directory / "datastores")) == before


def test_a_datastore_can_be_used_through_its_mount(host: Host) -> None:
    system = Rooted(host.root)
    system.make_folders("/vmfs/volumes/SHARED-Datastore/dockvols/11")
    assert (host.directory / "datastores" / SHARED / "dockvols/11").is_dir()
    assert system.real(f"/vmfs/volumes/{SHARED}/../../../etc/init.d") == host.root.resolve() / "etc/init.d"


@pytest.mark.parametrize(
    ("entry", "target"),
    [
        ("x", "../../../../datastores/../../canary"),
        ("canary", "../../../../../canary"),
        ("..", ""),
        ("y", "../../../../datastores/" + SHARED),
        ("z", "../../../../datastores/z"),
    ],
)
def test_only_a_datastore_of_the_lab_is_a_mount(host: Host, canary: Path, entry: str, target: str) -> None:
    if target:
        (host.root / "vmfs/volumes" / entry).symlink_to(target)
    if entry == "z":
        (host.directory / "datastores/z").symlink_to(canary)
    for step in (f"mkdir /vmfs/volumes/{entry}/evil", f"remove /vmfs/volumes/{entry}/folder"):
        do(Rooted(host.root), step)
    assert tree(canary).keys() == {"file", "folder"}
    assert not (host.directory / "datastores" / SHARED / "evil").exists()


@pytest.mark.parametrize(
    "steps", [["mkdir " + "a/" * 50000], ["mkdir " + "a/" * 1500], ["link a b", "link b a", "mkdir a/x", "remove a/"]]
)
def test_no_path_hangs(host: Host, steps: list[str]) -> None:
    before = set(tree(host.root))
    for step in steps:
        do(Rooted(host.root), step)
    assert {name.split("/")[0] for name in set(tree(host.root)) - before} <= {"a", "b"}


PIECES = st.sampled_from(
    [
        "/",
        "..",
        ".",
        "out-absolute",
        "out-relative",
        "mirror",
        "vmfs",
        "volumes",
        SHARED,
        "etc",
        "file",
        "folder",
        "new",
    ]
)
PATHS = st.builds(
    lambda start, parts: start + "/".join(parts), st.sampled_from(["", "/"]), st.lists(PIECES, max_size=6)
)
STEPS = st.one_of(
    st.builds("link {} {}".format, PATHS, PATHS),
    st.builds("mkdir {}".format, PATHS),
    st.builds("remove {}".format, PATHS),
)


@settings(max_examples=60)
@given(steps=st.lists(STEPS, min_size=1, max_size=8))
def test_no_mixture_of_steps_gets_out(tmp_path_factory: pytest.TempPathFactory, steps: list[str]) -> None:
    around = tmp_path_factory.mktemp("around")
    (around / "canary/folder").mkdir(parents=True)
    (around / "canary/file").write_text("alive")
    root = around / "lab/hosts/one"
    (root / "vmfs/volumes").mkdir(parents=True)
    (root / "etc").mkdir()
    (around / "lab/datastores" / SHARED).mkdir(parents=True)
    (root / "vmfs/volumes" / SHARED).symlink_to("../../../../datastores/" + SHARED)
    for name, target in (("out-absolute", str(around / "canary")), ("out-relative", "../../../canary")):
        (root / name).symlink_to(target)
    (root / "mirror").symlink_to("..")
    for step in steps:
        do(Rooted(root), step)
    assert tree(around / "canary").keys() == {"file", "folder"}
    assert {str(path.relative_to(around)) for path in around.glob("*/*")} == {
        "canary/file",
        "canary/folder",
        "lab/datastores",
        "lab/hosts",
    }
    assert [entry.name for entry in (around / "lab/hosts").iterdir()] == ["one"]
    assert [entry.name for entry in (around / "lab/datastores").iterdir()] == [SHARED]
