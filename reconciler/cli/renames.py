"""Suggestions of the line to add where a vmgroup was renamed in its manifest without `previousNames`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.cli.errors import report

if TYPE_CHECKING:
    from reconciler.model.diff import Diff
    from reconciler.model.state import Desired


def suggest_renames(diff: Diff, desired: Desired) -> None:
    """Report the line and its place for each change that may be a rename."""
    for change in diff.changes:
        if change.formerly:
            from reconciler.loader.additions import how_to_add
            from reconciler.planning.vmgroup.rename import previous_names_line

            group = next(group for group in desired.vmgroups if group.ref == change.ref)
            line = previous_names_line((change.formerly, *group.previous_names))
            how = how_to_add(group.source, "previousNames", line)
            report(f"note: if {change.ref} is vmgroup {change.formerly} under a new name, {how}")
