"""What goes wrong in `dockvols/`: name links, folders, and the books of what is in them."""

from __future__ import annotations

from collections.abc import Callable

from reconciler.lab.breakage.drift import Drift
from reconciler.lab.breakage.place import Place, put_link, put_volume
from reconciler.lab.breakage.row_drifts import BY_HAND, NOBODY


def _link_to(target: Callable[[Place, str], str]) -> Callable[[Place], None]:
    """A drift that gives the vmgroup, which has a volume, another name link; `target` is told the vmgroup's uuid."""

    def make(place: Place) -> None:
        place.a_volume()
        uuid, name = place.group
        put_link(place.dockvols / name, target(place, uuid))

    return make


def _foreign(place: Place) -> None:
    (place.dockvols / NOBODY).mkdir(exist_ok=True)
    put_volume(place.dockvols / NOBODY, "secret")
    _link_to(lambda place, _: f"{place.url}/dockvols/{NOBODY}")(place)


def _missing(place: Place) -> None:
    place.a_volume()
    (place.dockvols / place.group[1]).unlink()


def _is_folder(place: Place) -> None:
    place.a_volume()
    link = place.dockvols / place.group[1]
    link.unlink()
    link.mkdir()


def _folder_is_link(place: Place) -> None:
    folder = place.a_volume()
    folder.rename(place.dockvols / BY_HAND)
    folder.symlink_to(f"{place.url}/dockvols/{BY_HAND}")


def _stale_books(place: Place) -> None:
    place.sql("INSERT INTO volumes VALUES (?, ?, 'gone', 1024)", place.group[0], place.url)


def _uncounted(place: Place) -> None:
    place.a_volume()
    place.sql("DELETE FROM volumes WHERE tenant_id = ?", place.group[0])


DRIFTS = (
    Drift("name-link-foreign", "the vmgroup's name link leads to the folder of another", _foreign, 1452),
    Drift("name-link-broken", "the name link leads nowhere",
          _link_to(lambda place, _: f"{place.url}/dockvols/{BY_HAND}")),
    Drift("name-link-by-old-name", "the name link goes by a name that the datastore had once",
          _link_to(lambda _, uuid: f"/vmfs/volumes/old-name/dockvols/{uuid}"), 1659),
    Drift("name-link-by-name", "the name link goes by the datastore's name, as vDVS makes it",
          _link_to(lambda place, uuid: f"/vmfs/volumes/{place.datastore}/dockvols/{uuid}"), 1659),
    Drift("name-link-relative", "the name link is relative, as the script of 0.11 makes it",
          _link_to(lambda _, uuid: uuid)),
    Drift("name-link-missing", "the folder has no name link: normal, vDVS finds it by its uuid", _missing, 1485),
    Drift("name-is-folder", "a folder stands in the place of the name link", _is_folder),
    Drift("folder-is-link", "the vmgroup's folder is a link", _folder_is_link),
    Drift("volumes-stale", "a volume is counted that is not there", _stale_books, 1036),
    Drift("volumes-uncounted", "a volume is there that is not counted", _uncounted, 1036),
)  # fmt: skip
