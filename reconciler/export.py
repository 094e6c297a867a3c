"""The use cases of `vdvs export` and `vdvs init`, the site as it is as manifests, in one stream or a file each; and of
`vdvs snapshot`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from reconciler import loader, private
from reconciler.execution.survey import observe_everything, still_differs, survey
from reconciler.loader.schemas import schema
from reconciler.model.errors import UsageError
from reconciler.model.export import Export, LeftOut, Manifest
from reconciler.model.outcome import Assessment
from reconciler.model.refs import KINDS
from reconciler.model.state import RECONCILE, Desired, Observed, ObservedDatastore, Reconcile
from reconciler.reconcile import World, assess
from reconciler.render.manifests import SCHEMAS_FOLDER, manifest_files, manifests_text


async def export_site(declared: Desired, world: World) -> Export:
    """Return manifests of what is there, and what no manifest can express. Raises InventoryError.

    The manifests are loaded and compared like any others: what still differs is left out.
    """
    found = await survey(declared, world.inventory, world.hosts, world.observer)
    manifests, left_out = found.adopted.manifests, list(found.adopted.left_out)
    if manifests:
        exported = loader.load(["-"], stdin=BytesIO(manifests_text(manifests).encode())).desired
        for change in still_differs(exported, found):
            fields = ", ".join(field.path for field in change.fields)
            left_out.append(LeftOut(change.ref, f"vdvs apply would change it: {fields}" if fields else change.reason))
    return Export(manifests, tuple(sorted(left_out, key=lambda left: left.ref)))


async def look_at_everything(declared: Desired, world: World) -> Assessment:
    """Look as a diff does, and then at what only other manifests would ask for, as an export does: every config DB
    that a host could use, and the metadata of all volumes. Raises InventoryError."""
    found = await assess(declared, world)
    everything, more, _ = await observe_everything(declared, found.resolved.inventory, world.hosts, world.observer)
    seen = found.observed
    observed = replace(
        seen,
        hosts={**more.hosts, **seen.hosts},
        config_dbs={**more.config_dbs, **seen.config_dbs},
        datastores={**more.datastores, **{url: _with_files(each, more) for url, each in seen.datastores.items()}},
    )
    return replace(found, resolved=replace(found.resolved, hosts=everything.hosts), observed=observed)


def _with_files(seen: ObservedDatastore, more: Observed) -> ObservedDatastore:
    """Return the same, with the files of which only some were looked at."""
    again = more.datastores.get(seen.url)
    if again is None or again.error is not None:
        return seen
    whole = {files.kind: files for files in again.files if files.looked is None and files.error is None}
    return replace(
        seen, files=tuple(each if each.looked is None else whole.get(each.kind, each) for each in seen.files)
    )


def for_kubernetes(found: Export, site: str, namespace: str | None) -> Export:
    """Return the manifests as objects of a Kubernetes API that adopt what is there: an operator reports how they
    differ, and writes nothing until the annotation is removed. `namespace` None: whoever applies them says it."""
    return replace(found, manifests=tuple(_adopting(each, site, namespace) for each in found.manifests))


def _adopting(manifest: Manifest, site: str, namespace: str | None) -> Manifest:
    data: dict[str, Any] = dict(manifest.data)
    metadata = dict(data["metadata"])
    marks = {"annotations": {RECONCILE: Reconcile.REPORT.value, **metadata.pop("annotations", {})}}
    where = {} if namespace is None else {"namespace": namespace}
    data |= {"metadata": {**metadata, **where, **marks}, "spec": {"site": site, **data["spec"]}}
    return replace(manifest, data=data)


def write_files(manifests: Sequence[Manifest], folder: Path) -> int:
    """Write each manifest into a file of its own below `folder`, with the schemas that editors need; return how many.

    Raises UsageError and OSError: see `_write`.
    """
    kinds = dict.fromkeys(KINDS[manifest.ref.kind].singular for manifest in manifests)
    files = manifest_files(manifests)
    files |= {f"{SCHEMAS_FOLDER}/{kind}.v1.json": schema_text(kind) for kind in kinds}
    _write(files, folder)
    return len(manifests)


def write_examples(folder: Path) -> None:
    """Write the manifests of the walk-through below `folder`, with the schema that editors need.

    Raises UsageError and OSError: see `_write`.
    """
    name, in_checkout = f"{SCHEMAS_FOLDER}/manifest.v1.json", "$schema=../schemas/manifest.v1.json"
    texts = {path.name: path.read_text(encoding="utf-8") for path in _examples()}
    files = {file: text.replace(in_checkout, f"$schema={name}") for file, text in texts.items()}
    _write({**files, name: schema_text("manifest")}, folder)


def _examples() -> list[Path]:
    """Return the files of the example manifests: in a wheel inside the package, in a checkout beside it."""
    package = Path(__file__).resolve().parent
    folder = package / "_manifests"
    return sorted((folder if folder.is_dir() else package.parent / "manifests").glob("*.yaml"))


def _write(files: Mapping[str, str], folder: Path) -> None:
    """Write texts into files below `folder`. Files that are there already must be the same.

    Raises UsageError for one that differs, before anything is written, and OSError.
    """
    missing = {path: text for name, text in files.items() if not _is_there(path := folder / name, text)}
    for path, text in missing.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        with private.naming(path), path.open("x", encoding="utf-8") as file:
            try:
                file.write(text)
                file.flush()
            except OSError:
                path.unlink()  # or the next attempt would find a file that is different
                raise


def schema_text(name: str) -> str:
    """Write the schema of a kind, of `inventory`, or of `manifest` (all kinds), with all that it needs inside."""
    found = schema(name)
    rules = [_resolved(rule) for rule in found.get("allOf", ())]
    return json.dumps({**found, **({"allOf": rules} if rules else {})}, indent=2, ensure_ascii=False) + "\n"


def _resolved(rule: Mapping[str, Mapping[str, str]]) -> Mapping[str, object]:
    file = rule["then"]["$ref"]
    return {**rule, "then": schema(file.removesuffix(".v1.json"))}


def _is_there(path: Path, text: str) -> bool:
    """Return whether a file is there and has this content. Raises UsageError if it is anything else."""
    if path.parent.is_symlink() or path.is_symlink():
        raise UsageError(f"{path} is a link, or in one, and nothing is written through it; give another folder")
    try:
        same = path.read_bytes() == text.encode()
    except FileNotFoundError:
        return False
    if not same:
        raise UsageError(f"{path} is there already, and is different; remove it, or give another folder")
    return True
