"""Faults in local.sh, made by people and by the original tool.

Source: docs/domain.md#boot-script
"""

from __future__ import annotations

from collections.abc import Callable

from reconciler.lab.breakage.drift import Drift
from reconciler.lab.breakage.target import Target
from reconciler.model.errors import UsageError

LOCAL_SH = "etc/rc.local.d/local.sh"
TAG = "# -- vSphere Docker Volume Service configuration --"
_OTHER = "/vmfs/volumes/00000000-00000000-0000-000000000000"


def _edit(change: Callable[[list[str], int, int], list[str]]) -> Callable[[Target], None]:
    """Return a drift that changes the lines; `change` gets all lines, and start and end of the section.

    Source: docs/domain.md#boot-script
    """

    def make(target: Target) -> None:
        path = target.real(LOCAL_SH)
        lines = path.read_text().splitlines()
        tags = [number for number, line in enumerate(lines) if line.startswith(TAG)]
        if len(tags) != 2:
            raise UsageError(f"local.sh of host {target.host} has no section to break; apply manifests first")
        path.write_text("\n".join(change(lines, tags[0], tags[1] + 1)) + "\n")

    return make


def _datastore(value: str) -> Callable[[list[str], int, int], list[str]]:
    def change(lines: list[str], start: int, end: int) -> list[str]:
        named = [f"datastore={value}" if line.startswith("datastore=") else line for line in lines[start:end]]
        return lines[:start] + named + lines[end:]

    return change


def _not_executable(target: Target) -> None:
    target.real(LOCAL_SH).chmod(0o644)


def _removed(target: Target) -> None:
    target.real(LOCAL_SH).unlink(missing_ok=True)


def _by_name(target: Target) -> None:
    _edit(_datastore(target.datastore))(target)


DRIFTS = (
    Drift("section-removed", "the section in local.sh is gone: the link is lost at the next reboot",
          _edit(lambda lines, start, end: lines[:start] + lines[end:]), 1347),
    Drift("section-twice", "local.sh has the section twice",
          _edit(lambda lines, start, end: lines[:end] + lines[start:])),
    Drift("section-unclosed", "the closing line of the section is gone",
          _edit(lambda lines, _, end: lines[: end - 1] + lines[end:])),
    Drift("section-after-exit", "an `exit 0` precedes the section, which never runs",
          _edit(lambda lines, start, _: [*lines[:start], "exit 0", *lines[start:]])),
    Drift("section-without-exit", "local.sh has no `exit 0`",
          _edit(lambda lines, *_: [line for line in lines if not line.startswith("exit")])),
    Drift("section-unquoted", "the section names `datastore1 (1)`, unquoted: a syntax error that ends local.sh",
          _edit(_datastore("datastore1 (1)")), 816),
    Drift("section-foreign", "the section makes a link to another datastore",
          _edit(_datastore(_OTHER.rpartition("/")[2]))),
    Drift("section-by-name", "the section contains the datastore name, as the original tool writes it", _by_name, 1659),
    Drift("local-sh-syntax-error", "a line before the section has a syntax error",
          _edit(lambda lines, start, _: [*lines[:start], "if [ -e /tmp", *lines[start:]])),
    Drift("local-sh-undoes-link", "a line after the section removes the link again",
          _edit(lambda lines, _, end: [*lines[:end], "rm -f /etc/vmware/vmdkops/auth-db", *lines[end:]])),
    Drift("local-sh-not-executable", "local.sh is not executable, so it is never run", _not_executable),
    Drift("local-sh-removed", "local.sh is gone", _removed),
)  # fmt: skip
