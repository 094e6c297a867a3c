"""StoragePolicy: a vSAN policy as declared, resolved and observed, and its valid names and contents. Source:
docs/domain.md#storage-policies
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from msgspec import field

from reconciler.model.base import Strict, Text
from reconciler.model.files import DesiredFile, FileStep, ObservedFiles, ResolvedFile
from reconciler.model.refs import Kind

CAPABILITIES: Final = (
    "cacheReservation",
    "checksumDisabled",
    "forceProvisioning",
    "hostFailuresToTolerate",
    "iopsLimit",
    "locality",
    "proportionalCapacity",
    "replicaPreference",
    "stripeWidth",
    "subFailuresToTolerate",
)


LONGEST_POLICY_NAME: Final = 200  # a file name has 255 bytes, and vDVS makes files of longer names beside it


LEFT_BEHIND: Final = {
    ".old": "what was in it before a `policy update` that was interrupted, or failed for some of its volumes",
    ".tmp": "a `policy update` was interrupted",
    ".failed_volume_updates": "a `policy update` failed for some of its volumes, which keep what they had",
}
"""What `policy update` of vDVS may leave beside a policy, by the end of the name, and what that means."""


EXAMPLE: Final = '(("hostFailuresToTolerate" i1)("forceProvisioning" i1))'


_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


_OURS: Final = re.compile(r"\.new-[0-9a-f]{16}$")


_RULE: Final = re.compile(r'\( *"([^"]*)" +(?:i[0-9]+|"[^"]*") *\) *')


def why_not_policy_name(name: str) -> str | None:
    """Return why a policy cannot have this name, which is that of its file, or None. Source:
    docs/domain.md#storage-policies
    """
    if not _NAME.fullmatch(name):
        return "use letters, digits, '_', '.' and '-', beginning with a letter, a digit or '_'; it is a file name"
    if len(name) > LONGEST_POLICY_NAME:
        return f"it has {len(name)} characters; at most {LONGEST_POLICY_NAME} are allowed"
    if policy_of(name) != name or _OURS.search(name):
        return "files that end so are left over from the update of another policy"
    return None


def policy_of(file: str) -> str:
    """Return the policy whose update leaves a file of this name behind; else the name itself. Source:
    docs/domain.md#storage-policies
    """
    return next((file.removesuffix(end) for end in LEFT_BEHIND if file.endswith(end)), file)


def why_not_policy(content: str) -> str | None:
    """Return why vSAN, or vDVS on the way to it, cannot take this as a policy, or None.

    Source: docs/domain.md#storage-policies
    """
    if "'" in content:
        return "a single quote is not allowed: vDVS puts the content between single quotes into a shell command"
    if not content.isascii() or not content.isprintable():
        return "use plain printable characters on one line"
    if not (content.startswith("(") and content.endswith(")")):
        return f"expected a list of capabilities in parentheses, such as {EXAMPLE}"
    names: list[str] = []
    left = content[1:-1].strip(" ")
    while left:
        rule = _RULE.match(left)
        if rule is None:
            return f'expected ("capability" i1) at {left[:40]}'
        if (problem := _unusable(rule[1], names)) is not None:
            return problem
        names.append(rule[1])
        left = left[rule.end() :]
    return None if names else f"it names no capability; write, for example, {EXAMPLE}"


def _unusable(capability: str, before: list[str]) -> str | None:
    if capability in before:
        return f'capability "{capability}" is there twice'
    if capability in CAPABILITIES:
        return None
    from difflib import get_close_matches  # takes long to import, and only errors need it

    near = get_close_matches(capability, CAPABILITIES, 1)
    hint = f' (did you mean "{near[0]}"?)' if near else f"; known: {', '.join(CAPABILITIES)}"
    return f'vSAN has no capability "{capability}"{hint}'


def text_of(file: str) -> str:
    """Return the policy in a file: vDVS appends a line feed to the text."""
    return file.removesuffix("\n")


class DesiredStoragePolicy(DesiredFile, frozen=True):
    """A storage policy of vSAN. `datastore` None: it is on the only vSAN datastore."""

    content: str


class ResolvedStoragePolicy(ResolvedFile, frozen=True):
    """A storage policy, and the vSAN datastore that it is on."""

    content: str


class StoragePolicyFile(Strict, frozen=True, array_like=True):
    """A file of `dockvols/policies/`, each of which vDVS takes for a policy.

    `content` None: it could not be read, for the reason `problem`.
    """

    content: Text | None
    problem: Text = ""


class ObservedStoragePolicies(ObservedFiles, frozen=True, tag=Kind.STORAGE_POLICY.value):
    """All files of `dockvols/policies/` of a datastore, by name.

    `users`: the volumes (`FOLDER/VOLUME`) whose metadata name a policy, by its name. `unread` not None: why some
    volumes could not be examined.
    """

    files: Mapping[Text, StoragePolicyFile] = field(default_factory=dict)
    users: Mapping[Text, tuple[Text, ...]] = field(default_factory=dict)
    unread: Text | None = None


class WriteStoragePolicy(FileStep, frozen=True):
    """Write `content` and a line feed into the file of a storage policy, if it still contains `before` (the whole file;
    None: no file). Volumes are not changed.
    """

    content: str
    before: str | None


class RemoveStoragePolicy(FileStep, frozen=True):
    """Remove the file of a storage policy, if it still contains `before` and no volume uses it."""

    before: str
