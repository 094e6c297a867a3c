"""Access to a Kubernetes API: kubeconfigs as kubectl reads them, exec plugins within bounds, the account of a pod."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler.model.errors import UsageError
from reconciler.operator.connection import access as module
from reconciler.operator.connection.access import InCluster, KubeConfig, Login, open_access
from tests.kubernetes.cluster import Authority

HTTP = "http://127.0.0.1:8001"
V1 = "client.authentication.k8s.io/v1"
NOW = datetime(2026, 3, 1, tzinfo=UTC)


class StoppedClock:
    """Implements ports.Clock."""

    def __init__(self) -> None:
        self.time = NOW

    def now(self) -> datetime:
        return self.time


def config(tmp_path: Path, name: str = "config", cluster: Any = None, **user: Any) -> Path:
    """Write a kubeconfig of one context."""
    file = tmp_path / name
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "preferences": {},
        "current-context": "here",
        "clusters": [{"name": "here", "cluster": cluster or {"server": HTTP}}],
        "users": [{"name": "me", "user": user}],
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me", "namespace": "vdvs-system"}}],
    }
    file.write_text(yaml.safe_dump(content))
    return file


def login(access: KubeConfig | InCluster) -> Login:
    return asyncio.run(access.login())


def token(access: KubeConfig | InCluster) -> str | None:
    found = login(access).token
    return None if found is None else found.reveal()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    made = Authority(tmp_path_factory.mktemp("authority"))
    made.issue("me")
    return made


def plugin(tmp_path: Path, body: str, **more: Any) -> dict[str, Any]:
    """An exec plugin in Python, beside the kubeconfig. `answer(**status)` prints an ExecCredential."""
    (tmp_path / "plugin.py").write_text(
        "import json, os, sys, time\n"
        "def answer(**status):\n"
        f"    print(json.dumps({{'apiVersion': {V1!r}, 'kind': 'ExecCredential', 'status': status}}))\n"
        f"{body}\n"
    )
    return {"command": sys.executable, "args": [str(tmp_path / "plugin.py")], "apiVersion": V1} | more


def test_reads_server_namespace_and_token(tmp_path: Path) -> None:
    access = KubeConfig([config(tmp_path, cluster={"server": HTTP + "/"}, **{"token": "abc"})])
    assert (access.server, access.namespace) == (HTTP, "vdvs-system")
    assert login(access).token is not None
    assert token(access) == "abc"
    assert "abc" not in repr(login(access))


def test_a_token_file_is_beside_the_kubeconfig_and_read_each_time(tmp_path: Path) -> None:
    access = KubeConfig([config(tmp_path, tokenFile="token")])
    (tmp_path / "token").write_text("one\n")
    assert token(access) == "one"
    (tmp_path / "token").write_text("two\n")
    assert token(access) == "two"


@pytest.mark.parametrize("inline", [True, False])
def test_certificates_in_files_or_inside(tmp_path: Path, authority: Authority, inline: bool) -> None:
    def given(name: str, file: str) -> dict[str, str]:
        path = authority.folder / file
        return {f"{name}-data": b64encode(path.read_bytes()).decode()} if inline else {name: str(path)}

    cluster = {"server": "https://127.0.0.1:6443", "tls-server-name": "kubernetes"} | given(
        "certificate-authority", "ca.crt"
    )
    user = given("client-certificate", "me.crt") | given("client-key", "me.key")
    found = login(KubeConfig([config(tmp_path, cluster=cluster, **user)]))
    assert found.server_name == "kubernetes"
    assert found.tls is not None
    assert [one["subject"] for one in found.tls.get_ca_certs()] == [((("commonName", "vdvs-test-ca"),),)]
    assert found.tls.check_hostname


def test_another_context_and_several_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = config(tmp_path, "first", **{"token": "first"})
    second = yaml.safe_load(config(tmp_path, "second", **{"token": "second"}).read_text())
    second["contexts"].append({"name": "there", "context": {"cluster": "there", "user": "other"}})
    second["clusters"].append({"name": "there", "cluster": {"server": "http://localhost:9"}})
    second["users"].append({"name": "other", "user": {"token": "other"}})
    (tmp_path / "second").write_text(yaml.safe_dump(second))
    monkeypatch.setenv("KUBECONFIG", os.pathsep.join([str(first), str(tmp_path / "none"), str(tmp_path / "second")]))
    one, other = open_access(), open_access(context="there")
    assert isinstance(one, KubeConfig)
    assert isinstance(other, KubeConfig)
    assert (token(one), token(other), other.namespace) == ("first", "other", "default")
    given = open_access(tmp_path / "second")
    assert isinstance(given, KubeConfig)
    assert token(given) == "second"


HIDDEN = "S3cr3t"
REFUSED: dict[str, tuple[Any, str]] = {
    "insecure": ({"cluster": {"server": "https://a", "insecure-skip-tls-verify": True}}, "insecure-skip-tls-verify"),
    "no TLS": ({"cluster": {"server": "http://example.org"}}, "has no TLS"),
    "no URL": ({"cluster": {"server": "example.org:6443"}}, "is no URL"),
    "proxy": ({"cluster": {"server": "https://a", "proxy-url": "http://p"}}, "proxy-url"),
    "basic": ({"username": "me", "password": HIDDEN}, "username and password"),
    "provider": ({"auth-provider": {"name": "gcp", "config": {"secret": HIDDEN}}}, "auth-provider"),
    "as": ({"as": "root"}, "impersonation"),
    "old plugin": ({"exec": {"command": "x", "apiVersion": "client.authentication.k8s.io/v1alpha1"}}, "apiVersion"),
    "asks": ({"exec": {"command": "x", "apiVersion": V1, "interactiveMode": "Always"}}, "interactiveMode"),
    "number": ({"token": 12345}, "is no kubeconfig"),
    "server": ({"cluster": {"server": [HIDDEN]}}, "is no kubeconfig"),
}


@pytest.mark.parametrize(("content", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_not_followed_is_refused_in_words(tmp_path: Path, content: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words) as raised:
        KubeConfig([config(tmp_path, **content)])
    assert str(tmp_path) in str(raised.value)
    assert HIDDEN not in str(raised.value)


@pytest.mark.parametrize("kind", ["clusters", "users", "contexts"])
def test_what_is_not_used_may_be_as_it_likes(tmp_path: Path, kind: str) -> None:
    file = config(tmp_path, **{"token": "mine"})
    content = yaml.safe_load(file.read_text())
    content[kind] += [{"name": "odd", kind[:-1]: {}}, {"name": "odder", kind[:-1]: {"server": 1, "exec": {}}}]
    content[kind].append({"name": "oddest"})
    file.write_text(yaml.safe_dump(content))
    assert token(KubeConfig([file])) == "mine"
    if kind == "contexts":
        with pytest.raises(UsageError, match="its context 'odd': Object missing required field `cluster`"):
            KubeConfig([file], "odd")


def test_why_a_file_is_read_is_said_where_it_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for none in ("", ":"):
        monkeypatch.setenv("KUBECONFIG", none)
        with pytest.raises(
            UsageError, match=r"\.kube/config cannot be read: .*; name a kubeconfig with --kubeconfig or"
        ):
            open_access()
    named = config(tmp_path, tokenFile="gone")
    with pytest.raises(UsageError, match=f"gone cannot be read: no such file or directory; {named} names it"):
        login(KubeConfig([named]))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    with pytest.raises(UsageError, match="KUBERNETES_SERVICE_HOST is set, as in a pod"):
        open_access()


def test_a_user_without_a_home_is_told_what_to_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr("pwd.getpwuid", lambda uid: (_ for _ in ()).throw(KeyError(uid)))
    with pytest.raises(UsageError, match="name a kubeconfig"):
        open_access()


def test_an_error_of_syntax_shows_no_secret(tmp_path: Path) -> None:
    (tmp_path / "config").write_text(f"users:\n- token: '{HIDDEN}\n")
    with pytest.raises(UsageError, match=r"config is not valid YAML: line \d") as raised:
        KubeConfig([tmp_path / "config"])
    assert HIDDEN not in str(raised.value)


def test_what_is_missing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="cannot be read: no such file"):
        KubeConfig([tmp_path / "config"])
    with pytest.raises(UsageError, match="has no context 'there'; there are: here"):
        KubeConfig([config(tmp_path)], "there")
    (tmp_path / "empty").write_text("apiVersion: v1\n")
    with pytest.raises(UsageError, match="has no current-context"):
        KubeConfig([tmp_path / "empty"])
    for certificate in ("not base64!", b64encode(b"no certificate").decode()):
        cluster = {"server": "https://127.0.0.1", "certificate-authority-data": certificate}
        with pytest.raises(UsageError, match="certificate or key"):
            login(KubeConfig([config(tmp_path, cluster=cluster)]))
    with pytest.raises(UsageError, match="a token that is none"):
        login(KubeConfig([config(tmp_path, **{"token": "a\nb: c"})]))
    (tmp_path / "token").write_text("\n")
    with pytest.raises(UsageError, match="token is empty"):
        login(KubeConfig([config(tmp_path, tokenFile="token")]))


def test_a_key_with_a_passphrase_asks_nobody(tmp_path: Path, authority: Authority) -> None:
    from cryptography.hazmat.primitives import serialization

    key = serialization.load_pem_private_key((authority.folder / "me.key").read_bytes(), None)
    locked = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"x")
    )
    (tmp_path / "key").write_bytes(locked)
    user = {"client-certificate": str(authority.folder / "me.crt"), "client-key": "key"}
    with pytest.raises(UsageError, match="cannot be used"):
        login(KubeConfig([config(tmp_path, cluster={"server": "https://127.0.0.1"}, **user)]))


def test_a_plugin_is_asked_as_kubectl_asks_it_and_only_when_its_token_has_expired(tmp_path: Path) -> None:
    body = (
        "with open(os.environ['LOG'], 'a') as log: log.write(os.environ['KUBERNETES_EXEC_INFO'] + '\\n')\n"
        "assert sys.stdin.read() == ''\n"
        "calls = sum(1 for _ in open(os.environ['LOG']))\n"
        f"answer(token=f'token{{calls}}', expirationTimestamp={(NOW + timedelta(hours=1)).isoformat()!r})"
    )
    log = tmp_path / "log"
    wanted = plugin(tmp_path, body, env=[{"name": "LOG", "value": str(log)}], provideClusterInfo=True)
    clock = StoppedClock()
    access = KubeConfig([config(tmp_path, exec=wanted)], clock=clock)

    async def many() -> set[str | None]:
        logins = await asyncio.gather(*(access.login() for _ in range(20)))
        return {one.token.reveal() if one.token else None for one in logins}

    assert asyncio.run(many()) == {"token1"}
    clock.time += timedelta(minutes=59, seconds=55)
    assert token(access) == "token2"
    asked = [json.loads(line) for line in log.read_text().splitlines()]
    assert len(asked) == 2
    assert asked[0] == {
        "apiVersion": V1,
        "kind": "ExecCredential",
        "spec": {
            "interactive": False,
            "cluster": {"server": HTTP, "tls-server-name": "", "certificate-authority-data": ""},
        },
    }


def test_a_login_that_the_server_refused_is_made_anew_once(tmp_path: Path, authority: Authority) -> None:
    body = "open('calls', 'a').write('x'); answer(token=f\"token{len(open('calls').read())}\")"
    cluster = {"server": "https://127.0.0.1", "certificate-authority": str(authority.folder / "ca.crt")}
    wanted = plugin(tmp_path, f"os.chdir({str(tmp_path)!r}); {body}")
    access = KubeConfig([config(tmp_path, cluster=cluster, exec=wanted)])
    first = login(access)
    access.forget(first)
    second = login(access)
    access.forget(first)  # by a request that was under way with it
    assert login(access) is second
    assert second.token is not None
    assert second.token.reveal() == "token2"


def test_a_plugin_may_give_a_certificate(tmp_path: Path, authority: Authority) -> None:
    certificate, key = (str(authority.folder / name) for name in ("me.crt", "me.key"))
    body = f"answer(clientCertificateData=open({certificate!r}).read(), clientKeyData=open({key!r}).read())"
    cluster = {"server": "https://127.0.0.1", "certificate-authority": str(authority.folder / "ca.crt")}
    found = login(KubeConfig([config(tmp_path, cluster=cluster, exec=plugin(tmp_path, body))]))
    assert found.token is None
    assert found.tls is not None


FAILING = {
    "fails": ("print('no session', file=sys.stderr); sys.exit(3)", "failed with exit code 3: no session"),
    "prints nothing": ("", "does not print an ExecCredential"),
    "prints too much": ("print('x' * 2**21)", "prints more than 1,048,576 bytes"),
    "never ends": ("time.sleep(600)", "takes more than 0.5 s"),
    "never ends printing": ("while True: print('x' * 10**6)", "takes more than 0.5 s"),
    "has nothing": ("answer()", "neither a token nor a certificate"),
    "has no time zone": ("answer(token='a', expirationTimestamp='2026-01-01T00:00:00')", "does not print"),
    "another version": ("print(json.dumps({'apiVersion': 'v2', 'status': {'token': 'a'}}))", "answers with apiVersion"),
    "a token of two lines": ("answer(token='a\\nb')", "a token that is none"),
}


@pytest.mark.parametrize(("body", "words"), FAILING.values(), ids=FAILING.keys())
def test_a_plugin_that_fails_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, words: str
) -> None:
    monkeypatch.setattr(module, "PLUGIN_TIME", 0.5 if "0.5" in words else 60.0)
    with pytest.raises(UsageError, match=words):
        login(KubeConfig([config(tmp_path, exec=plugin(tmp_path, body))]))


def test_a_plugin_that_is_not_there(tmp_path: Path) -> None:
    wanted = {"command": "./none", "apiVersion": V1}
    with pytest.raises(UsageError, match=r"the exec plugin \./none cannot be run: No such file"):
        login(KubeConfig([config(tmp_path, exec=wanted)]))


def test_the_account_of_a_pod(tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ca.crt").write_bytes((authority.folder / "ca.crt").read_bytes())
    (tmp_path / "namespace").write_text("vdvs-system")
    (tmp_path / "token").write_text("one")
    monkeypatch.setattr(module, "SERVICE_ACCOUNT", tmp_path)
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "6443")
    access = open_access()
    assert isinstance(access, InCluster)
    assert (access.server, access.namespace, token(access)) == ("https://[fd00::1]:6443", "vdvs-system", "one")
    (tmp_path / "token").write_text("two")
    assert token(access) == "two"
    before = login(access)
    access.forget(before)
    assert login(access).tls is not before.tls


def test_a_kubeconfig_that_names_another_server_now(tmp_path: Path) -> None:
    access = KubeConfig([config(tmp_path, **{"token": "a"})])
    before = login(access)
    config(tmp_path, cluster={"server": "http://127.0.0.1:1"}, **{"token": "a"})
    access.forget(before)
    with pytest.raises(UsageError, match="names another server now"):
        login(access)
