"""Generator of the custom resource definitions, from the schemas of the manifests, and of what Argo CD has to know of
the kinds (`make crds`).

    python deploy/kubernetes/generate.py [--check]

With --check it writes nothing, and exits with 1 if a file is out of date.

A structural schema knows less than JSON Schema does, so that some constructs change:

- A union of a string and an object has no type there; each keyword applies to its own type. Numbers, lists and unknown
  keys are left to the admission policy.
- Nothing has a default: the server would store it, while a field that a manifest leaves out is left alone in vDVS.
- Lists are atomic: an associative one, or a set, loses `[]`, which means "none", when its owner applies it, and keeps
  what others added. That its entries are unique is a rule.
- What a schema cannot say of one object is a rule in CEL.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import yaml
from msgspec import Struct

from reconciler.loader.schemas import schema
from reconciler.model.kinds.storagepolicy import CAPABILITIES, EXAMPLE, LEFT_BEHIND
from reconciler.model.kinds.vmgroup import DB_FILE_NAME, LONGEST_VMGROUP_NAME, MISREAD_NAMES, UUID_SHAPED
from reconciler.model.kinds.volume import PART_SUFFIXES, SNAPSHOT_NAME
from reconciler.model.refs import ALL_DS, DEFAULT_VMGROUP, DEFAULT_VMGROUP_UUID, KINDS, VM_DS, Kind, KindSpec
from reconciler.model.units import LARGEST_MB, SIZE_UNITS

FOLDER: Final = Path(__file__).resolve().parent / "crds"
ARGOCD: Final = FOLDER.parent / "argocd"
GROUP, VERSION = "vdvs.io", "v1"
Schema = dict[str, Any]
_DROPPED: Final = frozenset(
    {"$schema", "title", "examples", "patternErrorMessage", "default", "const", "propertyNames", "uniqueItems"}
)


class Rule(Struct, frozen=True):
    """A condition in CEL on the value at `path`: the names of fields, `[]` for the items of a list.

    `field`: the field below it that the message is about, as in `.spec.name`.
    """

    path: str
    condition: str
    message: str
    field: str = ""


class Resource(Struct, frozen=True):
    """The part of a definition that the schema of the manifests does not give.

    `selectable`: fields below `spec` for `kubectl get --field-selector`; `one_of`: alternatives of `spec`, where rules
    cannot see a union.
    """

    short_name: str = ""
    rules: tuple[Rule, ...] = ()
    selectable: tuple[str, ...] = ()
    scope: str = "Namespaced"
    one_of: tuple[Schema, ...] = ()


def _megabytes(field: str) -> str:
    """Return the expression of a size as an integer. One that is too large is an error, which refuses, too: a
    quantity of Kubernetes would be capped at 8 EiB, and two large ones be equal."""
    unit = f"{field}.substring({field}.size() - 2)"
    factors = ", ".join(f"'{unit}': {factor}" for unit, factor in SIZE_UNITS.items())
    return f"int({field}.substring(0, {field}.size() - 2)) * {{{factors}}}[{unit}]"


def _text(value: str) -> str:
    """Return a string as a literal of CEL, without escapes."""
    return f"r'{value}'"


def _list(values: Iterable[str]) -> str:
    return f"[{', '.join(map(_text, values))}]"


_NAME: Final = "(has(self.spec) && has(self.spec.name) ? self.spec.name : self.metadata.name)"
_FITS: Final = f"{_megabytes('self')} <= {LARGEST_MB}"
_CAPABILITY: Final = rf'\( *"({"|".join(CAPABILITIES)})" +(i[0-9]+|"[^"]*") *\)'
_LEFT_OVER: Final = rf"(\.new-[0-9a-f]{{16}}|{'|'.join(map(re.escape, LEFT_BEHIND))})$"
_POLICY: Final = rf"^\( *({_CAPABILITY} *)+\)$"

_SITE_RULES: Final = (
    Rule(
        "spec",
        "!(has(self.inventory) && has(self.vsphere))",
        "names are looked up in vCenters or in a file; leave out vsphere or inventory",
        ".inventory",
    ),
    Rule(
        "spec",
        "!(has(self.lab) && has(self.ssh))",
        "the hosts are those of a lab, or reached by SSH; leave out lab or ssh",
        ".lab",
    ),
    Rule(
        "spec",
        "!has(self.ssh) || has(self.vsphere) || has(self.inventory)",
        'hosts reached by SSH need "vsphere", or an "inventory" file, to look up VMs and datastores',
        ".ssh",
    ),
    Rule(
        "spec",
        "!has(self.ssh) || !has(self.ssh.service) || self.ssh.service != 'Manage' || has(self.vsphere)",
        "only a vCenter can start and stop the SSH service of hosts; give spec.vsphere too",
        ".ssh.service",
    ),
    Rule(
        "spec.ssh",
        "!has(self.user) || !has(self.credentials) || !has(self.credentials.usernameFrom)",
        "the account is named by spec.ssh.user already; leave out one of them",
        ".credentials.usernameFrom",
    ),
)

_NAMESPACE_RULES: Final = (
    Rule(
        "spec.allow.namespaces.[]",
        "has(self.names) != has(self.matchLabels)",
        "namespaces are chosen by names or by matchLabels; give one of them",
    ),
)

_SECRET_RULES: Final = tuple(
    Rule(path, f"!has(self.{file}) || !has(self.{source})", f"leave out {file} or {source}", f".{source}")
    for path, file, source in (
        ("spec.ssh", "identityFile", "identityFrom"),
        ("spec.ssh", "knownHostsFile", "knownHostsFrom"),
        ("spec.vsphere.[]", "caFile", "caFrom"),
    )
)

_HOST_RULES: Final = (
    *(
        Rule(
            "spec.driver",
            f"!has(self.state) || self.state != 'Absent' || !has(self.{field})",
            "not allowed when driver.state is Absent; leave it out",
            f".{field}",
        )
        for field in ("version", "source", "sha256")
    ),
    Rule(
        "spec",
        "!has(self.driver) || !has(self.driver.state) || self.driver.state != 'Absent' || !has(self.service)",
        "not allowed when driver.state is Absent; leave it out",
        ".service",
    ),
)

_VMGROUP_RULES: Final = (
    Rule("", f"!({_NAME} in {_list(MISREAD_NAMES)})", "vDVS would take this name of a vmgroup for something else"),
    Rule("", f"!{_NAME}.startsWith('{DB_FILE_NAME}')", "this name is that of the file of the config DB"),
    Rule(
        "",
        f"!{_NAME}.matches({_text(f'(?i)^{UUID_SHAPED.pattern}$')})",
        "vDVS would take this name for the folder of the vmgroup with this UUID",
    ),
    Rule(
        "",
        f"{_NAME}.size() <= {LONGEST_VMGROUP_NAME}",
        f"a vmgroup has a name of at most {LONGEST_VMGROUP_NAME} characters",
    ),
    Rule(
        "",
        f"!has(self.spec) || !has(self.spec.uuid) || "
        f"({_NAME} == '{DEFAULT_VMGROUP}') == (self.spec.uuid == '{DEFAULT_VMGROUP_UUID}')",
        f"the UUID of {DEFAULT_VMGROUP} is always {DEFAULT_VMGROUP_UUID}, and no other vmgroup has it",
        ".spec.uuid",
    ),
    Rule(
        "",
        f"{_NAME} != '{DEFAULT_VMGROUP}' || !has(self.spec.vmSelector)",
        f"{DEFAULT_VMGROUP} has no members of its own: it takes every VM that is in no vmgroup",
        ".spec.vmSelector",
    ),
    Rule(
        "",
        f"!has(self.spec) || !has(self.spec.previousNames) || "
        f"!self.spec.previousNames.exists(former, former in [{_NAME}, '{DEFAULT_VMGROUP}'])",
        f"a previous name is neither the name that it has now nor {DEFAULT_VMGROUP}",
        ".spec.previousNames",
    ),
    Rule("spec.access.[].volumeMaxSize", _FITS, "it is larger than vDVS can store"),
    Rule("spec.access.[].volumeTotalSize", _FITS, "it is larger than vDVS can store"),
    Rule(
        "spec.access.[]",
        "!has(self.volumeMaxSize) || !has(self.volumeTotalSize) || "
        f"{_megabytes('self.volumeMaxSize')} <= {_megabytes('self.volumeTotalSize')}",
        "volumeMaxSize is more than volumeTotalSize; no volume of this size could ever be made",
        ".volumeMaxSize",
    ),
    Rule(
        "spec.access",
        "self.map(entry, entry.datastore).distinct().size() == self.size()",
        "a datastore has one entry only",
    ),
    Rule("spec.defaultDatastore", f"self != '{ALL_DS}'", f"{ALL_DS} is not one datastore; name one, or write {VM_DS}"),
    Rule(
        "spec",
        "!has(self.defaultDatastore) || !has(self.access) || "
        "self.access.exists(entry, entry.datastore == self.defaultDatastore)",
        "the default datastore has no entry in spec.access; add one",
        ".defaultDatastore",
    ),
)

_POLICY_RULES: Final = (
    Rule(
        "",
        f"!{_NAME}.matches({_text(_LEFT_OVER)})",
        "files that end so are left over from the update of another policy",
    ),
    Rule("", f"{_NAME}.size() <= 200", "the name of a storage policy has at most 200 characters"),
    Rule("spec.content", '!self.contains("\'")', "vDVS puts the content between single quotes into a shell command"),
    Rule("spec.content", "self.matches(r'^[ -~]*$')", "use plain printable characters on one line"),
    Rule(
        "spec.content",
        f"self.matches({_text(_POLICY)})",
        f"expected capabilities of vSAN in parentheses, such as {EXAMPLE}",
    ),
    *(  # a rule for each: all in one would cost more than a rule may
        Rule("spec.content", f"self.findAll(r'\\( *\"{one}\"').size() <= 1", f"{one} is there twice")
        for one in CAPABILITIES
    ),
)

_VOLUME_RULES: Final = (
    Rule("", f"!{_NAME}.contains('@')", "what follows the '@' is the datastore, which is spec.datastore"),
    Rule(
        "",
        f"!{_NAME}.matches({_text(SNAPSHOT_NAME.pattern)})",
        "vDVS takes what ends in '-' and six digits for a snapshot of another volume",
    ),
    Rule(
        "",
        f"!{_list(PART_SUFFIXES)}.exists(end, {_NAME}.endsWith(end))",
        "vDVS takes what ends so for a part of another volume",
    ),
    Rule("", f"{_NAME}.size() <= 100", "the name of a volume has at most 100 characters"),
)

RESOURCES: Final[dict[Kind, Resource]] = {
    Kind.SITE: Resource("vsite", (*_SITE_RULES, *_NAMESPACE_RULES, *_SECRET_RULES), scope="Cluster"),
    Kind.CONFIG_DB: Resource(
        "cdb",
        one_of=(
            {"required": ["datastore"], "properties": {"mode": {"enum": ["MultiNode"]}}},
            {
                "required": ["mode"],
                "properties": {"mode": {"enum": ["SingleNode"]}},
                "not": {"required": ["datastore"]},
            },
        ),
    ),
    Kind.HOST: Resource("vhost", _HOST_RULES),
    Kind.VMGROUP: Resource("vmg", _VMGROUP_RULES, selectable=("configDB",)),
    Kind.MEMBERSHIP: Resource(
        "vmem",
        (
            Rule(
                "spec.vmgroup",
                f"self != '{DEFAULT_VMGROUP}'",
                f"{DEFAULT_VMGROUP} has no members of its own: it takes every VM that is in no vmgroup",
            ),
        ),
        selectable=("vmgroup",),
    ),
    Kind.STORAGE_POLICY: Resource("vsp", _POLICY_RULES),
    Kind.VOLUME: Resource("vvol", _VOLUME_RULES, selectable=("vmgroup",)),
}
# The keys of a map: the server refuses what would compare each entry with all others.
_UNIQUE: Final = "self.transformMapEntry(position, entry, {entry: position}).size() == self.size()"
_COLUMNS: Final = (
    ("vDVS-Name", ".spec.name", "string", {}),
    ("ConfigDB", ".spec.configDB", "string", {}),
    ("VMGroup", ".spec.vmgroup", "string", {}),
    ("Ready", '.status.conditions[?(@.type=="Ready")].status', "string", {}),
    ("Reason", '.status.conditions[?(@.type=="Ready")].reason', "string", {}),
    ("Age", ".metadata.creationTimestamp", "date", {}),
    ("Site", ".status.site", "string", {"priority": 1}),
    ("Pending", ".status.pendingTotal", "integer", {"priority": 1}),
    ("Message", '.status.conditions[?(@.type=="Ready")].message', "string", {"priority": 1}),
)
# With a definition all its objects go: uninstalling, and pruning by Argo CD or Flux, leave it.
_KEPT: Final = {
    "helm.sh/resource-policy": "keep",
    "argocd.argoproj.io/sync-options": "Prune=false,Delete=false",
    "kustomize.toolkit.fluxcd.io/prune": "disabled",
}
_CONDITION: Final[Schema] = {
    "type": "object",
    "required": ["type", "status", "reason", "lastTransitionTime"],
    "properties": {
        "type": {"type": "string", "maxLength": 316},
        "status": {"type": "string", "enum": ["True", "False", "Unknown"]},
        "reason": {"type": "string", "maxLength": 1024},
        "message": {"type": "string", "maxLength": 32768},
        "lastTransitionTime": {"type": "string", "format": "date-time"},
        "observedGeneration": {"type": "integer", "format": "int64", "minimum": 0},
    },
}
_STATUS: Final[Schema] = {
    "type": "object",
    "description": "What was observed, by the operator.",
    # Below every generation, so that whoever waits sees that the object was not looked at yet.
    "default": {"observedGeneration": -1},
    "properties": {
        "observedGeneration": {"type": "integer", "format": "int64"},
        "observedDigest": {
            "type": "string",
            "description": "Digest of spec, labels and vdvs.io annotations: labels raise no generation.",
        },
        "site": {"type": "string", "description": "The Site that the object belongs to."},
        "name": {
            "type": "string",
            "description": "The name that it was accepted with in vDVS, which no other object can claim.",
        },
        "uuid": {"type": "string", "description": "The UUID that vDVS knows the vmgroup by."},
        "conditions": {
            "type": "array",
            "items": _CONDITION,
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["type"],
        },
        "lastApplied": {
            "type": "object",
            "description": "The last apply that is known: the digest of the manifest, its commit, who, and when.",
            "properties": {name: {"type": "string"} for name in ("digest", "commit", "by", "at")},
        },
        "pending": {
            "type": "array",
            "description": "The fields that differ from the manifest, the first 20: what is there now, what is to be "
            "there, the risk of the whole change, and its effect on rights.",
            "maxItems": 20,
            "items": {
                "type": "object",
                "properties": {name: {"type": "string"} for name in ("field", "from", "to", "risk", "effect")},
            },
        },
        "pendingTotal": {"type": "integer", "description": "How many fields differ."},
        "plan": {
            "type": "object",
            "description": "The plan that waits for approval, by the annotation vdvs.io/approve with its id.",
            "properties": {"id": {"type": "string"}, "summary": {"type": "string"}},
        },
    },
}


def files() -> dict[Path, str]:
    """Return the content of every file by its path. Raises ValueError if a kind has no row in `RESOURCES`."""
    if missing := [kind for kind in KINDS if kind not in RESOURCES]:
        raise ValueError(f"RESOURCES has no row for {', '.join(missing)}; add its scope, short name and rules")
    return {
        **{FOLDER / f"{spec.plural}.yaml": _text_of(spec) for spec in KINDS.values()},
        ARGOCD / "argocd-cm.yaml": _health_checks(),
    }


def definition(spec: KindSpec) -> Schema:
    """Return the custom resource definition of a kind."""
    resource, source = RESOURCES[spec.kind], schema(spec.singular)
    root = structural(source)
    root["properties"]["metadata"] = _metadata(source["properties"]["metadata"])
    root["properties"]["status"] = _STATUS
    for rule in resource.rules:
        _add(root, rule)
    if resource.one_of:
        root["properties"]["spec"]["oneOf"] = list(resource.one_of)
    version = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": [
            {"name": name, "jsonPath": path, "type": kind, **more}
            for name, path, kind, more in _COLUMNS
            if not path.startswith(".spec.")
            or path.removeprefix(".spec.") in source["properties"]["spec"]["properties"]
        ],
        "selectableFields": [{"jsonPath": f".spec.{field}"} for field in resource.selectable],
        "schema": {"openAPIV3Schema": root},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{spec.plural}.{GROUP}", "annotations": _KEPT},
        "spec": {
            "group": GROUP,
            "scope": resource.scope,
            "names": {
                "kind": spec.kind.value,
                "listKind": f"{spec.kind.value}List",
                "singular": spec.singular,
                "plural": spec.plural,
                **({"shortNames": [resource.short_name]} if resource.short_name else {}),
                "categories": ["vdvs"],
            },
            "versions": [{key: value for key, value in version.items() if value != []}],
        },
    }


def structural(node: Schema) -> Schema:
    """Translate a JSON Schema into a structural schema of the same meaning, as far as there is one. See the module."""
    made: Schema = {}
    for key, value in node.items():
        if key in _DROPPED:
            continue
        if key == "properties":
            made[key] = {name: structural(child) for name, child in value.items()}
        elif key == "items":
            made[key] = structural(value)
        elif key == "additionalProperties":
            if value is not False:
                made[key] = structural(value)
        elif key == "type" and sorted(value) == ["integer", "string"]:
            made["x-kubernetes-int-or-string"] = True
        elif key == "type" and isinstance(value, list):
            made["x-kubernetes-preserve-unknown-fields"] = True
        else:
            made[key] = value
    if "enum" in node or "const" in node:
        made.setdefault("type", "string")
    if node.get("type") == "array":
        made["x-kubernetes-list-type"] = "atomic"
    if node.get("uniqueItems"):
        made["x-kubernetes-validations"] = [{"rule": _UNIQUE, "message": "an entry is there twice"}]
    if (names := node.get("propertyNames")) is not None:
        rule = f"self.all(key, key.size() <= {names['maxLength']} && key.matches({_text(names['pattern'])}))"
        made["x-kubernetes-validations"] = [{"rule": rule, "message": names["patternErrorMessage"]}]
    return made


def _metadata(node: Schema) -> Schema:
    """Only the name can be restricted; the server checks labels and annotations by rules of its own."""
    return {"type": "object", "properties": {"name": structural(node["properties"]["name"])}}


def _add(root: Schema, rule: Rule) -> None:
    """Add a rule where it belongs. Raises KeyError where the schema has no such field."""
    node = root
    for name in rule.path.split(".") if rule.path else ():
        node = node["items"] if name == "[]" else node["properties"][name]
    made = {"rule": rule.condition, "message": rule.message}
    node.setdefault("x-kubernetes-validations", []).append({**made, "fieldPath": rule.field} if rule.field else made)


def _text_of(spec: KindSpec) -> str:
    notice = f"# Made by `make crds` from schemas/{spec.singular}.v1.json; what is changed here by hand is lost.\n"
    return notice + yaml.safe_dump(definition(spec), sort_keys=False, width=120, allow_unicode=True)


def _health_checks() -> str:
    """Return the part of the ConfigMap of Argo CD that gives each kind the same check."""
    first, *others = KINDS
    script = (ARGOCD / "health.lua").read_text(encoding="utf-8")
    key = f"  resource.customizations.health.{GROUP}_"
    notice = (
        "# Made by `make crds` from health.lua; what is changed here by hand is lost.\n"
        "# kubectl patch configmap argocd-cm --namespace argocd --patch-file argocd-cm.yaml\n"
    )
    return "".join(
        [
            f"{notice}data:\n{key}{first}: &health |\n",
            *(f"    {line}".rstrip() + "\n" for line in script.splitlines()),
            *(f"{key}{kind}: *health\n" for kind in others),
        ]
    )


def main(arguments: list[str]) -> int:
    """Write the files, or check that they are current."""
    wanted = files()
    stale = [path for path, text in wanted.items() if not path.is_file() or path.read_text(encoding="utf-8") != text]
    stale += [path for path in FOLDER.glob("*") if path not in wanted]
    if "--check" in arguments:
        for path in stale:
            print(f"{path} is out of date; run `make crds`")
        return 1 if stale else 0
    FOLDER.mkdir(exist_ok=True)
    for path in stale:
        if path in wanted:
            path.write_text(wanted[path], encoding="utf-8")
        else:
            path.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
