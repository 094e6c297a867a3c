"""Faults of storage policies of vSAN: files that anybody can edit, and that vDVS does not validate.

Source: docs/domain.md#storage-policies
"""

from __future__ import annotations

from reconciler.lab.breakage.drift import Drift
from reconciler.lab.breakage.target import Target

_BY_HAND = "by-hand"
_OTHER = '(("hostFailuresToTolerate" i0))\n'


def _changed(target: Target) -> None:
    target.policy.write_text(_OTHER)


def _misspelt(target: Target) -> None:
    target.policy.write_text('(("hostFailuresToTolarate" i0))\n')


def _by_hand(target: Target) -> None:
    target.policy.with_name(_BY_HAND).write_text(_OTHER)


def _half_updated(target: Target) -> None:
    policy = target.policy
    policy.with_name(f"{policy.name}.old").write_text(policy.read_text())
    policy.with_name(f"{policy.name}.failed_volume_updates").touch()


def _folder_is_link(target: Target) -> None:
    folder = target.policy.parent
    folder.rename(folder.with_name(_BY_HAND))
    folder.symlink_to(_BY_HAND)


DRIFTS = (
    Drift("policy-changed", "a storage policy is edited by hand", _changed, 915),
    Drift("policy-misspelt", "a storage policy names a capability that vSAN does not have", _misspelt, 1133),
    Drift("policy-removed", "a storage policy is removed by hand", lambda target: target.policy.unlink(), 915),
    Drift("policy-by-hand", "an undeclared storage policy is created",
          _by_hand),
    Drift("policy-half-updated", "an update of a storage policy failed for some volumes", _half_updated),
    Drift("policies-is-link", "the folder of the storage policies is a link", _folder_is_link),
)  # fmt: skip
