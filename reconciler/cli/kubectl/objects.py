"""Objects on a Kubernetes API, as kubectl prints them: bounded, and decoded by type.

kubectl goes there, with the user's own configuration and plugins for logins; nothing here reads a credential.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import DecodeError, Raw, Struct, ValidationError, json

from reconciler.loader.objects import declared_metadata
from reconciler.loader.wording import escape
from reconciler.model.errors import UsageError, VdvsError
from reconciler.model.refs import KINDS, Kind, ObjectRef

GROUP: Final = "vdvs.io"
_LARGEST: Final = 256 * 2**20  # bytes that kubectl prints
_LONGEST: Final = 300  # characters of an error
_PATIENCE: Final = 30.0  # seconds to end, once it has printed everything
_SOON: Final = "3s"
_TIMEOUT: Final = "60s"  # of a request, unless the user says otherwise


class Condition(Struct, frozen=True, rename="camel"):
    """A condition; `status`: True, False or Unknown."""

    type: str
    status: str
    reason: str = ""
    message: str = ""


class Pending(Struct, frozen=True):
    """A field that differs: its value on the site and in the spec, the risk and the effect of putting it right."""

    field: str
    before: str = msgspec.field(name="from", default="")
    after: str = msgspec.field(name="to", default="")
    risk: str = ""
    effect: str = ""


class WaitingPlan(Struct, frozen=True):
    """A plan that waits for approval."""

    id: str
    summary: str = ""


class LastApplied(Struct, frozen=True):
    """The last apply of an object."""

    digest: str = ""
    commit: str = ""
    by: str = ""
    at: str = ""


class Status(Struct, frozen=True, rename="camel"):
    """State of an object as the operator observed it last."""

    observed_generation: int = -1
    site: str = ""
    uuid: str = ""
    conditions: tuple[Condition, ...] = ()
    last_applied: LastApplied = LastApplied()
    pending: tuple[Pending, ...] = ()
    pending_total: int = 0
    plan: WaitingPlan | None = None


class _Metadata(Struct, frozen=True, rename="camel"):
    name: str
    namespace: str = ""
    generation: int = 0
    resource_version: str = ""
    labels: Mapping[str, str] = {}
    annotations: Mapping[str, str] = {}


class Object(Struct, frozen=True, rename="camel"):
    """An object of ours on the API."""

    api_version: str
    kind: Kind
    metadata: _Metadata
    spec: Raw = Raw(b"{}")
    status: Status = Status()

    @property
    def ref(self) -> ObjectRef:
        """Kind of the object, and its name on the API."""
        return ObjectRef(self.kind, self.metadata.name)

    @property
    def is_current(self) -> bool:
        """Whether its status is of its present spec."""
        return self.status.observed_generation == self.metadata.generation

    def condition(self, of: str) -> Condition:
        """Return a condition by its type; one that the operator has not written, or wrote for another spec, is
        unknown."""
        if not self.is_current:
            return Condition(of, "Unknown", "NotObserved", "the operator has not looked at its present spec yet")
        missing = Condition(of, "Unknown", "NotObserved", "the operator does not say")
        return next((found for found in self.status.conditions if found.type == of), missing)

    @property
    def manifest(self) -> dict[str, Any]:
        """The manifest of which it was made, but for its namespace."""
        metadata = declared_metadata(self.metadata.name, self.metadata.labels, self.metadata.annotations)
        return {"apiVersion": self.api_version, "kind": self.kind.value, "metadata": metadata, "spec": self.spec}


class _Any(Struct):
    kind: str


class _List(Struct):
    items: tuple[Object, ...]


class Kubectl(Struct, frozen=True):
    """kubectl, and the options that say which API and namespace it goes to."""

    options: tuple[str, ...] = ()

    def get(self, kinds: Sequence[Kind], names: Sequence[str] = ()) -> tuple[Object, ...]:
        """Return objects, by kind and name. Raises VdvsError; kubectl has said why."""
        plurals = ",".join(f"{KINDS[kind].plural}.{GROUP}" for kind in kinds)
        text = self._run("get", plurals, "-o", "json", f"--request-timeout={_TIMEOUT}", *self.options, "--", *names)
        try:
            if json.decode(text, type=_Any).kind == "List":
                found = json.decode(text, type=_List).items
            else:
                found = (json.decode(text, type=Object),)
        except (DecodeError, RecursionError) as error:
            why = " ".join(str(error).split())[:_LONGEST] if isinstance(error, ValidationError) else "damaged"
            raise VdvsError(f"what kubectl printed are no objects of vdvs ({escape(why)})") from None
        return tuple(sorted(found, key=lambda one: (one.ref.sort_key, one.metadata.namespace)))

    def names(self, kind: Kind) -> list[str]:
        """Return the names of the objects of a kind, to offer them: none where kubectl cannot tell soon."""
        program = shutil.which("kubectl")
        if program is None:
            return []
        line = ["get", f"{KINDS[kind].plural}.{GROUP}", "-o", "name", f"--request-timeout={_SOON}", *self.options]
        done = subprocess.run([program, *line], capture_output=True, check=False)  # noqa: S603 - no shell
        return [line.rpartition("/")[2] for line in done.stdout.decode(errors="replace").splitlines()]

    def annotate(self, seen: Object, annotation: str, value: str) -> None:
        """Set an annotation of an object that is still as it was `seen`. Raises VdvsError; kubectl has said why."""
        self._run(
            "annotate", f"{KINDS[seen.kind].plural}.{GROUP}", "--overwrite", *self.options,
            f"--resource-version={seen.metadata.resource_version}", "--", seen.metadata.name, f"{annotation}={value}",
        )  # fmt: skip

    def _run(self, verb: str, *words: str) -> bytes:
        program = shutil.which("kubectl")
        if program is None:
            raise UsageError("kubectl is not on the PATH")
        # Its standard error is ours: it says in its own words what is wrong, and a plugin of it may ask for a login.
        with subprocess.Popen([program, verb, *words], stdout=subprocess.PIPE) as process:  # noqa: S603 - no shell
            try:
                text = process.stdout.read(_LARGEST + 1) if process.stdout is not None else b""
                if len(text) > _LARGEST:
                    raise VdvsError(f"kubectl prints more than {_LARGEST // 2**20} MiB; name fewer objects")
                code = process.wait(_PATIENCE)
            finally:
                process.kill()
        if code:
            raise VdvsError(f"`kubectl {verb}` failed (exit code {code})")
        return text
