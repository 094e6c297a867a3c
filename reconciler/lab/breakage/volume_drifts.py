"""What goes wrong with the metadata of volumes: files that vDVS finds by their names, and does not check."""

from __future__ import annotations

import json
from collections.abc import Callable

from reconciler.lab.breakage.drift import Drift
from reconciler.lab.breakage.place import Place
from reconciler.model.kinds.volume import VolumeAccess


def _access(change: Callable[[str], str]) -> Callable[[Place], None]:
    """A drift that writes another access into the metadata, as `vmdkops_admin.py volume set` does."""

    def make(place: Place) -> None:
        side = place.metadata
        metadata = json.loads(side.read_text())
        metadata["volOpts"]["access"] = change(metadata["volOpts"].get("access", VolumeAccess.READ_WRITE))
        side.write_text(json.dumps(metadata).ljust(4095) + "\n")

    return make


def _other(access: str) -> str:
    return VolumeAccess.READ_ONLY if access == VolumeAccess.READ_WRITE else VolumeAccess.READ_WRITE


def _not_padded(place: Place) -> None:
    place.metadata.write_text(place.metadata.read_text().strip())


def _cut_off(place: Place) -> None:
    place.metadata.write_text(place.metadata.read_text()[:20])


def _is_link(place: Place) -> None:
    side = place.metadata
    side.rename(side.with_name("by-hand"))
    side.symlink_to("by-hand")


def _named(line: str) -> Callable[[Place], None]:
    """A drift of the line of the descriptor that names the metadata."""

    def make(place: Place) -> None:
        side = place.metadata
        descriptor = side.with_name(side.name.rpartition("-")[0] + ".vmdk")
        rest = [text for text in descriptor.read_text().splitlines() if "sidecars" not in text]
        descriptor.write_text("\n".join((*rest, line)) + "\n")

    return make


def _removed(place: Place) -> None:
    side = place.metadata
    name = side.name.rpartition("-")[0]
    for path in (side, side.with_name(f"{name}.vmdk"), side.with_name(f"{name}-flat.vmdk")):
        path.unlink(missing_ok=True)


DRIFTS = (
    Drift("volume-access-changed", "the access of a volume is changed by hand", _access(_other)),
    Drift("volume-access-odd", "the access of a volume is no word that vDVS knows", _access(lambda _: "ro")),
    Drift("volume-metadata-not-padded", "the metadata of a volume are not padded: vDVS does not mind", _not_padded),
    Drift("volume-metadata-cut-off", "the metadata of a volume were written by half", _cut_off),
    Drift("volume-metadata-removed", "the file with the metadata of a volume is gone",
          lambda place: place.metadata.unlink()),
    Drift("volume-metadata-is-link", "a link stands in the place of the metadata of a volume", _is_link),
    Drift("volume-metadata-not-named", "the descriptor of a volume does not name its metadata", _named("")),
    Drift("volume-metadata-elsewhere", "the descriptor of a volume names metadata in another folder",
          _named('ddb.sidecars = "x_1,../../secret.vmfd"')),
    Drift("volume-removed", "a volume is removed, as `docker volume rm` does", _removed),
)  # fmt: skip
