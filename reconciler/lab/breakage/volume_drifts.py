"""Faults in the metadata of volumes: files that vDVS finds by their names, and does not validate.

Source: docs/domain.md#volume-metadata
"""

from __future__ import annotations

import json
from collections.abc import Callable

from reconciler.lab.breakage.drift import Drift
from reconciler.lab.breakage.target import Target
from reconciler.model.kinds.volume import VolumeAccess


def _access(change: Callable[[str], str]) -> Callable[[Target], None]:
    """Return a drift that writes another access into the metadata, as `vmdkops_admin.py volume set` does.

    Source: docs/domain.md#volume-metadata
    """

    def make(target: Target) -> None:
        side = target.metadata
        metadata = json.loads(side.read_text())
        metadata["volOpts"]["access"] = change(metadata["volOpts"].get("access", VolumeAccess.READ_WRITE))
        side.write_text(json.dumps(metadata).ljust(4095) + "\n")

    return make


def _other(access: str) -> str:
    return VolumeAccess.READ_ONLY if access == VolumeAccess.READ_WRITE else VolumeAccess.READ_WRITE


def _not_padded(target: Target) -> None:
    target.metadata.write_text(target.metadata.read_text().strip())


def _cut_off(target: Target) -> None:
    target.metadata.write_text(target.metadata.read_text()[:20])


def _is_link(target: Target) -> None:
    side = target.metadata
    side.rename(side.with_name("by-hand"))
    side.symlink_to("by-hand")


def _named(line: str) -> Callable[[Target], None]:
    """Return a drift of the descriptor's line that names the metadata. Source: docs/domain.md#volume-metadata"""

    def make(target: Target) -> None:
        side = target.metadata
        descriptor = side.with_name(side.name.rpartition("-")[0] + ".vmdk")
        rest = [text for text in descriptor.read_text().splitlines() if "sidecars" not in text]
        descriptor.write_text("\n".join((*rest, line)) + "\n")

    return make


def _removed(target: Target) -> None:
    side = target.metadata
    name = side.name.rpartition("-")[0]
    for path in (side, side.with_name(f"{name}.vmdk"), side.with_name(f"{name}-flat.vmdk")):
        path.unlink(missing_ok=True)


DRIFTS = (
    Drift("volume-access-changed", "the access of a volume is changed by hand", _access(_other)),
    Drift("volume-access-odd", "the access of a volume is a word that vDVS does not know", _access(lambda _: "ro")),
    Drift("volume-metadata-not-padded", "the metadata of a volume are not padded: harmless to vDVS", _not_padded),
    Drift("volume-metadata-cut-off", "the metadata of a volume are half-written", _cut_off),
    Drift("volume-metadata-removed", "the file with the metadata of a volume is gone",
          lambda target: target.metadata.unlink()),
    Drift("volume-metadata-is-link", "the metadata file of a volume is a link", _is_link),
    Drift("volume-metadata-not-named", "the descriptor of a volume does not name its metadata", _named("")),
    Drift("volume-metadata-elsewhere", "the descriptor of a volume names metadata in another folder",
          _named('ddb.sidecars = "x_1,../../secret.vmfd"')),
    Drift("volume-removed", "a volume is removed, as `docker volume rm` does", _removed),
)  # fmt: skip
