"""Golden cases of planning: a folder of `tests/golden/plan/` each, with inputs and expected outputs.

    desired.yaml     what the manifests say, in the short form of `compact`; and optionally
                     policy: apply (the default) | report | heal | destroy | applied (heal what was applied before)
                     only: [vmgroup/g1]  (the objects of the pass)
                     applying: {set: team, prune: true, whole: false}  (left out: nobody applies, nothing is recorded)
                     claimed: true  (this side knows nothing of the applies that the config DBs record)
    inventory.json   left out: the one beside the folders
    observed.json    what was found
    diff.txt         the expected diff,  plan.txt  the expected plan

`python -m tests.planning.golden --write CASE...` writes what is expected anew (no CASE: of all of them). Read the
difference before you commit it.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import yaml
from msgspec.structs import replace

from reconciler.model.base import Risk
from reconciler.model.diff import Diff
from reconciler.model.ownership import Applying, Kept, Stamp
from reconciler.model.plan import APPLY, APPLY_AND_DESTROY, REPORT_ONLY, Plan, Policy
from reconciler.model.plan import HEAL as HEAL_APPLIED
from reconciler.model.refs import Kind, ObjectRef
from reconciler.model.state import Observed, Resolved
from reconciler.planning.differ import diff, without_uuid
from reconciler.planning.planner import plan
from reconciler.planning.resolve import resolve
from tests.planning import compact
from tests.planning.shown import shown_diff, shown_plan

CASES = Path(__file__).parents[1] / "golden" / "plan"
HEAL = Policy(frozenset({Risk.SAFE, Risk.RESTRICTS}), config_db_lifecycle=False)
POLICIES = {"apply": APPLY, "report": REPORT_ONLY, "heal": HEAL, "destroy": APPLY_AND_DESTROY, "applied": HEAL_APPLIED}
KINDS = {kind.lower(): kind for kind in Kind}


def cases() -> list[str]:
    """The names of all cases."""
    return sorted(folder.name for folder in CASES.iterdir() if folder.is_dir())


def outputs(case: str) -> dict[str, str]:
    """What planning makes of a case: the text of each expected file."""
    found, steps = run(CASES / case)
    return {"diff.txt": shown_diff(found), "plan.txt": shown_plan(steps)}


def run(folder: Path) -> tuple[Diff, Plan]:
    """The diff and the plan of the case in `folder`."""
    resolved, observed, fresh, applying, policy = asked(folder)
    found = diff(resolved, observed, fresh, applying)
    return found, plan(found, resolved, observed, policy)


def asked(folder: Path) -> tuple[Resolved, Observed, dict[ObjectRef, str], Applying | None, Policy]:
    """The inputs of the case in `folder`."""
    wanted = yaml.safe_load((folder / "desired.yaml").read_text())
    inventory = folder / "inventory.json"
    known = compact.inventory(json.loads((inventory if inventory.exists() else CASES / "inventory.json").read_text()))
    resolved = resolve(compact.desired(wanted), known)
    observed = compact.observed(json.loads((folder / "observed.json").read_text()), known)
    if not wanted.get("claimed"):
        observed = replace(observed, kept=_kept(resolved, observed))
    fresh = {ref: f"new-{ref.name}" for ref in without_uuid(resolved, observed)}
    return resolved, observed, fresh, _applying(wanted), _policy(wanted)


def _kept(resolved: Resolved, observed: Observed) -> dict[str, Kept]:
    """What this side keeps if it made every apply that the config DBs record."""
    found = ((db, observed.config_dbs[db.location].records or ()) for db in resolved.config_dbs)
    return {
        db.ref.name: Kept(str(db.location), {each.object: replace(each, claimed=False) for each in records})
        for db, records in found
        if records
    }


def _applying(wanted: dict[str, Any]) -> Applying | None:
    return Applying(**{"set": "", "stamp": Stamp("ann@ws"), **wanted["applying"]}) if "applying" in wanted else None


def _policy(wanted: dict[str, Any]) -> Policy:
    policy = POLICIES[wanted.get("policy", "apply")]
    if "only" not in wanted:
        return policy
    refs = (name.partition("/") for name in wanted["only"])
    return replace(policy, objects=frozenset(ObjectRef(KINDS[kind], name) for kind, _, name in refs))


def main() -> None:
    """Write the expected files of the cases named (or of all)."""
    parser = argparse.ArgumentParser(prog="python -m tests.planning.golden", description=main.__doc__)
    parser.add_argument("--write", nargs="*", metavar="CASE", required=True)
    for case in parser.parse_args().write or cases():
        for name, text in outputs(case).items():
            (CASES / case / name).write_text(text)


if __name__ == "__main__":
    main()
