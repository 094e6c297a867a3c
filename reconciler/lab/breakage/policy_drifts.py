"""What goes wrong with the storage policies of vSAN: files that anybody can edit, and vDVS does not check."""

from __future__ import annotations

from reconciler.lab.breakage.drift import Drift
from reconciler.lab.breakage.place import Place

_BY_HAND = "by-hand"
_OTHER = '(("hostFailuresToTolerate" i0))\n'


def _changed(place: Place) -> None:
    place.policy.write_text(_OTHER)


def _misspelt(place: Place) -> None:
    place.policy.write_text('(("hostFailuresToTolarate" i0))\n')


def _by_hand(place: Place) -> None:
    place.policy.with_name(_BY_HAND).write_text(_OTHER)


def _half_updated(place: Place) -> None:
    policy = place.policy
    policy.with_name(f"{policy.name}.old").write_text(policy.read_text())
    policy.with_name(f"{policy.name}.failed_volume_updates").touch()


def _folder_is_link(place: Place) -> None:
    folder = place.policy.parent
    folder.rename(folder.with_name(_BY_HAND))
    folder.symlink_to(_BY_HAND)


DRIFTS = (
    Drift("policy-changed", "a storage policy is edited by hand", _changed, 915),
    Drift("policy-misspelt", "a storage policy names a capability that vSAN has not", _misspelt, 1133),
    Drift("policy-removed", "a storage policy is removed by hand", lambda place: place.policy.unlink(), 915),
    Drift("policy-by-hand", "a storage policy that nobody declares is made",
          _by_hand),
    Drift("policy-half-updated", "an update of a storage policy failed for some volumes", _half_updated),
    Drift("policies-is-link", "the folder of the storage policies is a link", _folder_is_link),
)  # fmt: skip
