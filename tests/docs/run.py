"""Runs the commands of the pages, and shows or writes what comes.

    python -m tests.docs.run [--write] [PAGE...]

Without --write it prints every difference between what a page shows and what comes. With it, the pages show what came:
read the diff.
"""

from __future__ import annotations

import argparse
import difflib
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

from tests.docs.blocks import GENERATED, PAGES, ROOT, Block, Step, blocks, steps, written
from tests.docs.stage import Stage, shown_anew, shows

# What begins with a clone, as what a new user tries. The rest begins with a site that was applied.
FRESH = (("README.md", ""), ("docs/cli.md", ""), ("docs/tutorial.md", ""))
INSTEAD = {"make demo": "sh docs/demo.sh"}  # what make would run; it installs nothing here
_NO_MANIFESTS = "mv manifests/.vdvs-lab . && rm -r manifests && sed -i s,manifests/,, site.yaml"
_LAB_AT_BOTH_PLACES = "ln -s manifests/.vdvs-lab ."  # the default of `vdvs lab`, and that of the manifests
_NOTHING = "rm -rf .git .gitignore deploy docs manifests schemas"
_BY_HAND = " && ".join(
    f"vdvs lab break {what} --directory manifests/.vdvs-lab --host {host}"
    for what in ("link-by-name", "section-by-name") for host in ("esxiz10", "esxiz20")
)  # fmt: skip
_NEWER_VIB = (
    "for vib in manifests/.vdvs-lab/datastores/*/*.vib; do"
    ' sed s/0.14.0577889-0.0.1/0.21.2.96d2ce7-0.0.1/g "$vib" > "${vib%/*}/newer.vib"; done'
)
BEFORE = {
    ("docs/tutorial.md", ""): _NOTHING,
    ("docs/cli.md", "vdvs init"): _NO_MANIFESTS,
    ("docs/real-sites.md", ""): _NO_MANIFESTS,
    ("docs/adopt.md", ""): f"{_BY_HAND} && {_NO_MANIFESTS}",
    ("docs/upgrade.md", ""): _NEWER_VIB,
    **{("docs/cli.md", f"vdvs lab {name}"): _LAB_AT_BOTH_PLACES for name in ("down", "reboot", "break")},
}
"""What is done first, where a page needs something else."""
# Exit codes that are an answer, or that of Ctrl-C, by how a command begins.
ANSWERS = {r"vdvs (diff|can-i) ": (0, 1), r"vdvs get [^#]*--watch": (130,)}
NOT_RUN = {
    "make": "it installs packages, or runs these tests; that the target exists is checked",
    ".venv/bin/pre-commit": "it changes the git hooks of the checkout",
    "source <(vdvs completion zsh)": "it needs zsh; tests/packages runs it",
    **dict.fromkeys(
        ("pipx", "uv", "python3", "/opt/vdvs/bin/pip"), "it installs packages; tests/packages does the same"
    ),
    **dict.fromkeys(("scp", "skopeo"), "it needs a jump host or a registry"),
    "vdvs operator": "it needs a cluster; tests/kubernetes runs it",
    "kubectl": "it needs a cluster; tests/kubernetes applies the same files",
    "helm": "it needs a cluster; tests/kubernetes renders the same chart, and applies it",
}
"""Commands that are not run here, by how they begin, and why. Those of `vdvs` in them are parsed like any others."""


@dataclass(frozen=True)
class Difference:
    """A command of which a page shows something else than what comes."""

    page: Path
    step: Step
    why: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}: $ {self.step.command}\n{self.why}"


def why_not_run(command: str) -> str | None:
    """Return why a command is not run here; None: it is."""
    if command in INSTEAD:
        return None
    return next((why for beginning, why in NOT_RUN.items() if f"{command} ".startswith(f"{beginning} ")), None)


def parts(page: Path) -> Iterator[tuple[str, list[Block]]]:
    """Yield what runs in a stage of its own: a whole page, or a command of the generated one."""
    found = [block for block in blocks(page.read_text(encoding="utf-8")) if steps(block)]
    for section, part in groupby(found, key=lambda block: block.section if page == GENERATED else ""):
        yield section, list(part)


def run(page: Path, found: list[Block], stage: Stage) -> Iterator[tuple[Block, list[Step], list[Difference]]]:
    """Run the commands of these blocks one after the other. Yields each block with its steps as they should be."""
    for block in found:
        anew, differences = [], []
        for step in steps(block):
            if why_not_run(step.command):
                anew.append(step)
                continue
            done = stage.run(INSTEAD.get(step.command, step.command))
            expected = next((codes for form, codes in ANSWERS.items() if re.match(form, step.command)), (0,))
            if step.shown is None and done.code not in expected:
                differences.append(Difference(page, step, f"exit code {done.code}:\n{done.output}"))
            elif step.shown is not None and not shows(step.shown, done.output):
                came = done.output.rstrip().splitlines()
                lines = difflib.unified_diff(step.shown, came, "as shown", "as it comes", lineterm="")
                differences.append(Difference(page, step, "\n".join(lines)))
            anew.append(step if step.shown is None else replace(step, shown=shown_anew(step, done.output)))
        yield block, anew, differences


def main() -> int:
    """Run the pages that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write what comes into the pages")
    parser.add_argument("pages", nargs="*", metavar="PAGE")
    given = parser.parse_args()
    pages = [Path(page).resolve() for page in given.pages] or PAGES
    code = 0
    with tempfile.TemporaryDirectory() as folder:
        ready = stages(Path(folder))
        for page in pages:
            text, offset = page.read_text(encoding="utf-8"), 0
            for section, found in parts(page):
                for block, anew, differences in run(page, found, ready(page, section)):
                    if given.write and block.language == "console":
                        start, now = block.offset + offset, written(anew)
                        text = text[:start] + now + text[start + len(block.text) :]
                        offset += len(now) - len(block.text)
                    for difference in differences:
                        print(difference, end="\n\n")
                        code = 1
            if given.write:
                page.write_text(text, encoding="utf-8")
    return 0 if given.write else code


def stages(folder: Path) -> Callable[[Path, str], Stage]:
    """Return what gives a stage for a page, or a section of it, in this folder."""
    made: dict[bool, Stage] = {}

    def ready(page: Path, section: str) -> Stage:
        part = (str(page.relative_to(ROOT)), section)
        applied = part not in FRESH
        if applied in made:
            made[applied].reset()
        else:
            made[applied] = Stage(folder / ("applied" if applied else "fresh"), applied=applied)
        if part in BEFORE:
            made[applied].must(BEFORE[part])
        return made[applied]

    return ready


if __name__ == "__main__":
    sys.exit(main())
