"""`kubectl vdvs` and `vdvs export --kubernetes` on a real API server, through a real kubectl."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from reconciler.cli.kubectl.main import plugin
from reconciler.cli.main import cli
from reconciler.model.refs import KINDS
from tests.e2e.site import SEED, LabSite
from tests.kubernetes.cluster import KUBECTL, Cluster, User

ROOT = Path(__file__).parents[2]
TEAM, PLAN, OTHER = (
    "team-plugin",
    "3f786850e387550fdab836ed7e6dc881de23001b",
    "89e6c98d92887913cadf06b2adb97f26cde4849b",
)
PENDING = [
    {
        "field": "access[SHARED-Datastore].volumeTotalSize",
        "from": "5GB",
        "to": "6GB",
        "risk": "widens",
        "effect": "gives photon-01 more \x1b[31mroom",
    },
    {"field": "description", "to": "ours", "risk": "safe"},
]


def condition(type_: str, status: str, reason: str, message: str = "") -> dict[str, Any]:
    return {
        "type": type_, "status": status, "reason": reason, "message": message, "observedGeneration": 1,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }  # fmt: skip


@pytest.fixture(scope="module")
def api(cluster: Cluster) -> Cluster:
    """The API server with the definitions, and a namespace."""
    made = cluster.admin.kubectl("apply", "--server-side", "-f", str(ROOT / "deploy" / "kubernetes" / "crds"))
    assert made.returncode == 0, made.stderr
    waited = cluster.admin.kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd", "--all")
    assert waited.returncode == 0, waited.stderr
    assert cluster.admin.kubectl("create", "namespace", TEAM).returncode == 0
    return cluster


@pytest.fixture
def objects(api: Cluster) -> Iterator[Cluster]:
    """One object that is ready, one whose plan waits, and one that no operator has looked at."""
    for name in ("green", "blue", "new"):
        spec = {"defaultDatastore": "SHARED-Datastore", "access": [{"datastore": "SHARED-Datastore"}], "vms": []}
        metadata = {"name": name, "namespace": TEAM}
        put(api, {"apiVersion": "vdvs.io/v1", "kind": "VMGroup", "metadata": metadata, "spec": spec})
    observe(api, "green", conditions=[condition("Ready", "True", "InSync", "as declared")])
    waits = condition("Ready", "False", "AwaitingApproval", "to apply it widens access")
    plan = {"id": PLAN, "summary": "1 to update, widens access"}
    observe(api, "blue", conditions=[waits], pending=PENDING, pendingTotal=3, plan=plan)
    yield api
    api.admin.kubectl("delete", "vmgroups.vdvs.io", "--all", "-n", TEAM)


def put(api: Cluster, document: dict[str, Any]) -> None:
    done = api.admin.kubectl("apply", "-f", "-", stdin=yaml.safe_dump(document))
    assert done.returncode == 0, done.stderr


def observe(api: Cluster, name: str, **status: Any) -> None:
    """Write the status of an object, as the operator does."""
    path = f"/apis/vdvs.io/v1/namespaces/{TEAM}/vmgroups/{name}/status"
    body = {"status": {"observedGeneration": 1, "site": "lab", **status}}
    code, answer = api.admin.request("PATCH", path, body, "application/merge-patch+json")
    assert code == 200, answer


def vdvs(user: User, command: str, *more: str, answer: str = "") -> Result:
    flags = ["--kubeconfig", str(user.kubeconfig), "-n", TEAM]
    return CliRunner().invoke(plugin, [*shlex.split(command), *more, *flags], answer, catch_exceptions=False)


def approved(api: Cluster, name: str = "blue") -> str:
    found = api.admin.request("GET", f"/apis/vdvs.io/v1/namespaces/{TEAM}/vmgroups/{name}")[1]
    return str(found["metadata"].get("annotations", {}).get("vdvs.io/approve", ""))


def test_what_the_operator_saw_is_shown(objects: Cluster) -> None:
    done = vdvs(objects.admin, "get vg")
    assert [line.split() for line in done.stdout.splitlines()] == [
        ["NAME", "SITE", "READY", "REASON", "PENDING", "PLAN"],
        ["blue", "lab", "False", "AwaitingApproval", "3", PLAN[:12]],
        ["green", "lab", "True", "InSync", "-", "-"],
        ["new", "-", "Unknown", "NotObserved", "-", "-"],
    ]
    assert done.exit_code == 3  # nothing is known of one of them
    assert vdvs(objects.admin, "get vmgroup green blue").exit_code == 0
    assert vdvs(objects.admin, "get hosts").stderr == "vdvs: no objects\n"

    done = vdvs(objects.admin, "diff vmgroup/blue")
    assert done.exit_code == 1
    assert done.stdout.splitlines() == [
        f"vmgroup/blue in namespace {TEAM}: AwaitingApproval: to apply it widens access",
        "    access[SHARED-Datastore].volumeTotalSize   5GB -> 6GB   widens access",
        "    description                                + ours       disrupts nothing",
        "        gives photon-01 more \\x1b[31mroom",
        "    and 1 more field",
        f"    plan {PLAN}: 1 to update, widens access",
    ]
    assert (vdvs(objects.admin, "diff vmgroup/green").stdout, vdvs(objects.admin, "diff").exit_code) == ("", 3)
    done = vdvs(objects.admin, "plan -o json")
    assert [item["object"] for item in yaml.safe_load(done.stdout)["items"]] == ["vmgroup/blue"]
    assert (
        vdvs(objects.admin, "status").stdout.splitlines()[0] == "3 objects: 1 ready, 2 not ready, 1 awaiting approval"
    )


def installed(user: User, folder: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Put the programs into `folder` as a package does, and return what runs kubectl with them on the PATH."""
    for name, module in (("kubectl-vdvs", "main"), ("kubectl_complete-vdvs", "completion")):
        program = folder / name
        start = f"from reconciler.cli.kubectl.{module} import main; main()"
        program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -c "{start}" "$@"\n')
        program.chmod(0o755)
    path = os.pathsep.join([str(folder), str(Path(str(KUBECTL)).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "KUBECONFIG": str(user.kubeconfig), "PYTHONPATH": str(ROOT)}

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        line = [str(KUBECTL), *words]
        return subprocess.run(line, env=environment, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)

    return run


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        (["app"], ["approve\tApprove the plan of an object.", ":4"]),
        (["get", "vm"], ["vmgroups", ":4"]),
        (["get", "vmgroups", "-n", TEAM, ""], ["blue", "green", "new", ":4"]),
        (["get", "vmgroups", "-n", TEAM, "green", ""], ["blue", "new", ":4"]),
        (["approve", "-n", TEAM, "vg/b"], ["vg/blue", ":4"]),
        (["get", "--kubeconfig", ""], [":0"]),  # files are the shell's
        (["get", "vmgroups", "--context", "nowhere", ""], [":4"]),
    ],
)
def test_kubectl_completes_it(objects: Cluster, tmp_path: Path, line: list[str], offered: list[str]) -> None:
    done = installed(objects.admin, tmp_path)("__complete", "vdvs", *line)
    if done.returncode != 0 or "unknown command" in done.stderr:
        pytest.skip("this kubectl is older than 1.26 and completes no plugin")
    assert done.stdout.splitlines() == offered


def test_kubectl_finds_it_and_its_options_are_the_users(objects: Cluster, tmp_path: Path) -> None:
    kubectl = installed(objects.admin, tmp_path)

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return kubectl("vdvs", *words)

    done = run("get", "vmgroups", "-A", "--context", "test")
    assert [TEAM, "blue"] in [line.split()[:2] for line in done.stdout.splitlines()], done.stderr
    refused = run("get", "vmgroups", "--context", "nowhere")
    assert (refused.returncode, "nowhere" in refused.stderr) == (3, True)
    assert "bug" not in refused.stderr


def test_a_plan_is_approved_by_its_id_and_only_while_it_is_the_one_that_waits(objects: Cluster) -> None:
    refused = vdvs(objects.admin, f"approve vmgroup/blue {OTHER} --yes")
    assert (refused.exit_code, approved(objects)) == (3, "")
    assert f"{OTHER} is not the plan that waits, which is {PLAN}" in refused.stderr
    refused = vdvs(objects.admin, "approve vmgroup/blue", answer="n\n")
    assert (refused.exit_code, approved(objects)) == (3, "")
    assert "5GB -> 6GB" in refused.stdout
    for name in ("green", "new"):
        assert vdvs(objects.admin, f"approve vmgroup/{name} --yes").exit_code == 3

    done = vdvs(objects.admin, "approve vmgroup/blue", answer="y\n")
    assert (done.exit_code, approved(objects)) == (0, PLAN), done.output
    assert "approved already" in vdvs(objects.admin, f"approve vmgroup/blue {PLAN[:12]}").stderr


def test_a_plan_that_changes_while_it_is_read_is_not_approved(
    objects: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The annotation is set only on the object as it was shown."""

    def answer(_question: str) -> bool:
        observe(objects, "blue", plan={"id": OTHER, "summary": "1 to delete"})
        return True

    monkeypatch.setattr("click.confirm", answer)
    done = vdvs(objects.admin, "approve vmgroup/blue")
    assert (done.exit_code, approved(objects)) == (3, "")


def test_who_may_only_read_sees_and_cannot_approve(objects: Cluster, capfd: pytest.CaptureFixture[str]) -> None:
    reader = objects.user("plugin-reader", "plugin-readers")
    rule = ["--verb=get,list", "--resource=vmgroups.vdvs.io"]
    assert objects.admin.kubectl("create", "role", "readers", *rule, "-n", TEAM).returncode == 0
    binding = ["--role=readers", "--group=plugin-readers", "-n", TEAM]
    assert objects.admin.kubectl("create", "rolebinding", "readers", *binding).returncode == 0
    assert vdvs(reader, "diff vmgroup/blue").exit_code == 1
    refused = vdvs(reader, "approve vmgroup/blue --yes")
    assert (refused.exit_code, approved(objects)) == (3, "")
    assert 'User "plugin-reader" cannot patch resource "vmgroups"' in capfd.readouterr().err


def test_files_and_objects_are_compared_with_a_snapshot(
    objects: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = LabSite(tmp_path)
    site.reconcile()
    monkeypatch.setenv("VDVS_SITE", str(site.site_file))
    file = str(tmp_path / "site.snapshot")
    assert CliRunner().invoke(cli, ["snapshot", "-f", str(site.manifests), "--out", file]).exit_code == 0
    monkeypatch.delenv("VDVS_SITE")
    monkeypatch.setattr("reconciler.wiring.world.open_hosts", lambda _site: pytest.fail("somebody is reached"))

    changed = tmp_path / "changed"
    changed.mkdir()
    for path in site.manifests.glob("host-*.yaml"):
        (changed / path.name).write_text(path.read_text())
    (changed / "site-content.yaml").write_text(SEED.replace("5GB", "6GB"))
    done = vdvs(objects.admin, "diff -o json", "-f", str(changed), "--against", file)
    changes = {change["object"]: change["op"] for change in yaml.safe_load(done.stdout)["changes"]}
    assert (changes["vmgroup/MYVMGROUP"], done.exit_code) == ("update", 1), done.output
    ask = "can-i create --vm photon-01 --datastore SHARED-Datastore"
    assert vdvs(objects.admin, ask, "-f", str(changed), "--against", file).exit_code == 0
    assert "give a snapshot" in vdvs(objects.admin, ask).stderr
    assert "go with --against" in vdvs(objects.admin, "diff", "-f", str(changed)).stderr

    # The objects of the namespace in place of files.
    assert objects.admin.kubectl("apply", "-n", TEAM, "-f", str(changed)).returncode == 0
    done = vdvs(objects.admin, "diff -o json", "--against", file)
    changes = {change["object"]: change["op"] for change in yaml.safe_load(done.stdout)["changes"]}
    assert (changes["vmgroup/MYVMGROUP"], changes["vmgroup/blue"]) == ("update", "create"), done.output
    objects.admin.kubectl("delete", "hosts.vdvs.io,configdbs.vdvs.io", "--all", "-n", TEAM)


def test_what_the_api_says_is_no_bug_of_ours(objects: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "kubectl"
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    for printed in ("", "[]", '{"kind": "List"}', '{"kind": "VMGroup"}', '{"kind": "List", "items": [{}]}', "[" * 9999):
        program.write_text(f"#!/bin/sh\ncat <<'EOF'\n{printed}\nEOF\n")
        program.chmod(0o755)
        done = vdvs(objects.admin, "get vmgroups")
        assert (done.exit_code, "no objects of vdvs" in done.stderr) == (3, True), (printed, done.output)


def test_an_export_adopts(api: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Accepted by the server as strictly as it can, and marked so that the operator reports only."""
    site = LabSite(tmp_path)
    site.reconcile()
    monkeypatch.setenv("VDVS_SITE", str(site.site_file))
    done = CliRunner().invoke(
        cli, ["export", "-f", str(site.manifests), "--kubernetes", "--namespace", TEAM], catch_exceptions=False
    )
    assert done.exit_code == 0, done.stderr
    applied = api.admin.kubectl("apply", "--server-side", "--validate=strict", "-f", "-", stdin=done.stdout)
    assert applied.returncode == 0, applied.stderr
    kinds = ",".join(f"{spec.plural}.vdvs.io" for spec in KINDS.values() if spec.reconciled)
    found = yaml.safe_load(api.admin.kubectl("get", kinds, "-n", TEAM, "-o", "yaml").stdout)["items"]
    by_name = {f"{each['kind']}/{each['metadata']['name']}": each for each in found}
    for name in ("ConfigDB/shared", "Host/esxiz10", "Host/esxiz20", "VMGroup/myvmgroup"):
        annotations = by_name[name]["metadata"]["annotations"]
        assert (annotations["vdvs.io/reconcile"], by_name[name]["spec"]["site"]) == ("report", "lab")
    api.admin.kubectl("delete", kinds, "--all", "-n", TEAM)
