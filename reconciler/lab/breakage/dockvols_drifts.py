"""Faults in `dockvols/`: name links, folders, and the quota rows of volumes.

Source: docs/domain.md#layout-of-dockvols
"""

from __future__ import annotations

from collections.abc import Callable

from reconciler.lab.breakage.drift import Drift
from reconciler.lab.breakage.row_drifts import BY_HAND, NOBODY
from reconciler.lab.breakage.target import Target, put_link, put_volume


def _link_to(destination: Callable[[Target, str], str]) -> Callable[[Target], None]:
    """Return a drift that replaces the name link of a vmgroup with a volume.

    `destination` gets the target and the uuid of the vmgroup, and returns the text of the link.

    Source: docs/domain.md#layout-of-dockvols
    """

    def make(target: Target) -> None:
        target.a_volume()
        uuid, name = target.group
        put_link(target.dockvols / name, destination(target, uuid))

    return make


def _foreign(target: Target) -> None:
    (target.dockvols / NOBODY).mkdir(exist_ok=True)
    put_volume(target.dockvols / NOBODY, "secret")
    _link_to(lambda target, _: f"{target.url}/dockvols/{NOBODY}")(target)


def _missing(target: Target) -> None:
    target.a_volume()
    (target.dockvols / target.group[1]).unlink()


def _is_folder(target: Target) -> None:
    target.a_volume()
    link = target.dockvols / target.group[1]
    link.unlink()
    link.mkdir()


def _folder_is_link(target: Target) -> None:
    folder = target.a_volume()
    folder.rename(target.dockvols / BY_HAND)
    folder.symlink_to(f"{target.url}/dockvols/{BY_HAND}")


def _stale_books(target: Target) -> None:
    target.sql("INSERT INTO volumes VALUES (?, ?, 'gone', 1024)", target.group[0], target.url)


def _uncounted(target: Target) -> None:
    target.a_volume()
    target.sql("DELETE FROM volumes WHERE tenant_id = ?", target.group[0])


DRIFTS = (
    Drift("name-link-foreign", "the vmgroup's name link points to the folder of another", _foreign, 1452),
    Drift("name-link-broken", "the name link is dangling",
          _link_to(lambda target, _: f"{target.url}/dockvols/{BY_HAND}")),
    Drift("name-link-by-old-name", "the name link contains a former name of the datastore",
          _link_to(lambda _, uuid: f"/vmfs/volumes/old-name/dockvols/{uuid}"), 1659),
    Drift("name-link-by-name", "the name link contains the datastore's name, as vDVS makes it",
          _link_to(lambda target, uuid: f"/vmfs/volumes/{target.datastore}/dockvols/{uuid}"), 1659),
    Drift("name-link-relative", "the name link is relative, as the script of 0.11 makes it",
          _link_to(lambda _, uuid: uuid)),
    Drift("name-link-missing", "the folder has no name link: normal, vDVS finds it by its uuid", _missing, 1485),
    Drift("name-is-folder", "a folder is in the place of the name link", _is_folder),
    Drift("folder-is-link", "the vmgroup's folder is a link", _folder_is_link),
    Drift("volumes-stale", "a booked volume does not exist", _stale_books, 1036),
    Drift("volumes-uncounted", "an existing volume is not booked", _uncounted, 1036),
)  # fmt: skip
