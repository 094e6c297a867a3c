"""Generator of the lists of kinds in the kustomize base, and of the Helm chart from that base (`make crds`).

    python deploy/kubernetes/chart.py [--check]

With --check it writes nothing, and exits with 1 if a file is out of date.

The chart with its default values is the base, but for the namespace, which Helm makes; its definitions are those of
the base, by a link. What is a value of the chart is
marked there by a comment, `# chart: EXPRESSION`, which stands

- behind a value, or a key with lines below it: for that value, or these lines;
- on a line of its own: for more of what it stands in, if it is not empty; `KEY: EXPRESSION` for one more key;
- on the first line, with `if`: for whether the file is rendered at all.

A list with the comment `# every kind`, `# every kind but Site` or `# the status of every kind` is that in the base.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from textwrap import indent
from typing import Final

from reconciler import __version__
from reconciler.model.refs import DECLARING, KINDS

BASE: Final = Path(__file__).resolve().parent
TEMPLATES: Final = BASE / "chart" / "templates"
KUSTOMIZATION: Final = BASE / "kustomization.yaml"
ABOUT: Final = BASE / "chart" / "Chart.yaml"
OPERATOR: Final = BASE / "operator.yaml"
SERVICE_MONITOR: Final = BASE / "monitoring" / "servicemonitor.yaml"
RULES: Final = BASE / "monitoring" / "rules.yaml"
_NOTICE: Final = "# Made by `make crds` from {}; what is changed here by hand is lost.\n"
_NOT_OF_THE_CHART: Final = {"kustomization.yaml", "namespace.yaml"}
_PLURALS: Final = [spec.plural for spec in KINDS.values()]
_LISTS: Final = {
    "every kind": _PLURALS,
    "every kind but Site": [KINDS[kind].plural for kind in DECLARING],
    "the status of every kind": [f"{plural}/status" for plural in _PLURALS],
}
_LIST: Final = re.compile(rf"(?m)\[.*\](  # ({'|'.join(_LISTS)}))$")
_MARK: Final = re.compile(r"^( *)((?:- )?\w+:|)(.*?) *# chart: (?:(\w+): )?(.+)\n")


def files() -> dict[Path, str]:
    """Return the content of every file by its path: the base, the alerts as an object, the templates, the chart."""
    paths = [path for path in (*BASE.glob("*.yaml"), SERVICE_MONITOR) if path.name not in _NOT_OF_THE_CHART]
    base = {path: _with_kinds(path.read_text(encoding="utf-8")) for path in paths} | {RULES: _rules()}
    base[OPERATOR] = re.sub(r"image: vdvs:\S+", f"image: vdvs:{__version__}", base[OPERATOR])
    sources = {path.relative_to(BASE): text for path, text in base.items()}
    templates = {TEMPLATES / "-".join(source.parts): template(text, source) for source, text in sources.items()}
    chart = re.sub(r"(?m)^(version|appVersion): .*", rf"\1: {__version__}", ABOUT.read_text(encoding="utf-8"))
    listed = with_definitions(KUSTOMIZATION.read_text(encoding="utf-8"))
    return {**base, KUSTOMIZATION: listed, ABOUT: chart, **templates}


def with_definitions(kustomization: str) -> str:
    """Return it with the definition of every kind. Raises ValueError if they are not listed in one place."""
    definitions = "".join(f"- crds/{plural}.yaml\n" for plural in sorted(_PLURALS))
    listed, places = re.subn(r"(- crds/.*\n)+", definitions, kustomization)
    if places != 1:
        raise ValueError(f"{KUSTOMIZATION} lists definitions in {places} places")
    return listed


def template(text: str, source: Path) -> str:
    """Translate a file of the base into a template. See the module."""
    lines = text.replace("{{", '{{ "{{" }}').replace("vdvs-system", "{{ .Release.Namespace }}")
    made, condition = [], ""
    rest = lines.splitlines(keepends=True)
    while rest:
        line = rest.pop(0)
        if (mark := _MARK.match(line)) is None:
            made.append(line)
            continue
        space, key, value, more, expression = mark.groups()
        if expression.startswith("if "):
            condition = expression.removeprefix("if ")
        elif not key:
            head = f"{space}{more}:\n" if more else ""
            made.append(
                f"{{{{- with {expression} }}}}\n{head}{{{{ toYaml . | indent {len(space)} }}}}\n{{{{- end }}}}\n"
            )
        elif value:
            made.append(f"{space}{key} {{{{ {expression} }}}}\n")
        else:
            column = len(space) + 2 * key.startswith("- ")
            depth = len(rest[0]) - len(rest[0].lstrip())
            while rest and re.match(rf" {{{column + 1}}}| {{{column}}}- ", rest[0]):
                rest.pop(0)
            made.append(f"{space}{key}\n{{{{ toYaml {expression} | indent {depth} }}}}\n")
    body = _NOTICE.format(source) + "".join(made)
    return f"{{{{- if {condition} }}}}\n{body}{{{{- end }}}}\n" if condition else body


def _with_kinds(text: str) -> str:
    return _LIST.sub(lambda found: f"[{', '.join(_LISTS[found[2]])}]{found[1]}", text)


def _rules() -> str:
    source = BASE.parent / "prometheus-rules.yml"
    head = """\
# chart: if .Values.monitoring.rules
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: vdvs-operator
  namespace: vdvs-system
  labels:
    app.kubernetes.io/name: vdvs
spec:
"""
    return head + indent(source.read_text(encoding="utf-8"), "  ")


def main(arguments: list[str]) -> int:
    """Write the files, or check that they are current."""
    wanted = files()
    stale = [path for path, text in wanted.items() if not path.is_file() or path.read_text(encoding="utf-8") != text]
    for path in stale:
        if "--check" in arguments:
            print(f"{path} is out of date; run `make crds`")
        else:
            path.write_text(wanted[path], encoding="utf-8")
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
