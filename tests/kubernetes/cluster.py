"""A real Kubernetes API: etcd and kube-apiserver on loopback, with certificates and RBAC, and its users."""

from __future__ import annotations

import datetime
import http.client
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

ROOT = Path(__file__).parents[2]
BINARIES = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vdvs-peers"


def built(name: str) -> str | None:
    """Return the binary that `make peers` built from `tests/kubernetes/NAME/go.mod`; its version is in its name."""
    text = (Path(__file__).parent / name / "go.mod").read_text()
    (tool,) = re.findall(r"^tool (\S+)", text, re.MULTILINE)
    modules = re.findall(r"^\s+(\S+) (v\S+)", text, re.MULTILINE)
    (version,) = [version for module, version in modules if f"{tool}/".startswith(f"{module}/")]
    return shutil.which(f"{name}-{version}", path=str(BINARIES))


APISERVER, ETCD = built("kube-apiserver"), built("etcd")
HELM, KUSTOMIZE_CONTROLLER = built("helm"), built("kustomize-controller")  # for few tests, which skip without them
KUBECTL = shutil.which("kubectl")
MISSING = [name for name, found in (("kube-apiserver", APISERVER), ("etcd", ETCD), ("kubectl", KUBECTL)) if not found]
_PATIENCE = 60.0
_DAY = datetime.timedelta(days=1)


class Authority:
    """A certificate authority whose certificates and keys are files of one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("vdvs-test-ca")
        self._write("ca", self._signed(self._name, self._key, x509.BasicConstraints(ca=True, path_length=0)), self._key)

    def issue(self, name: str, group: str = "", server: bool = False) -> None:
        """Write `name.crt` and `name.key`: of a user in a group, or of a server on loopback."""
        key = ec.generate_private_key(ec.SECP256R1())
        extensions: list[x509.ExtensionType] = [
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
        ]
        if server:
            names = [x509.DNSName("localhost"), *(x509.IPAddress(ip_address(ip)) for ip in ("127.0.0.1", "10.0.0.1"))]
            extensions.append(x509.SubjectAlternativeName(names))
        self._write(name, self._signed(_name(name, group), key, *extensions), key)

    def _signed(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, *more: x509.ExtensionType) -> Any:
        now = datetime.datetime.now(datetime.UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _DAY)
            .not_valid_after(now + _DAY)
        )
        for extension in more:
            made = made.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        return made.sign(self._key, hashes.SHA256())

    def _write(self, name: str, certificate: Any, key: Any) -> None:
        (self.folder / f"{name}.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        (self.folder / f"{name}.key").write_bytes(_pem(key))


def _name(name: str, group: str = "") -> x509.Name:
    groups = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group)] if group else []
    return x509.Name([*groups, x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _pem(key: Any) -> bytes:
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return bytes(key.private_bytes(encoding, form, serialization.NoEncryption()))


class Cluster:
    """One API server with its etcd, in a folder. `admin` may do everything."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self.authority = Authority(folder)
        self.authority.issue("server", server=True)
        self.authority.issue("etcd")
        signing = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        (folder / "sa.key").write_bytes(_pem(signing))
        public = (serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        (folder / "sa.pub").write_bytes(signing.public_key().public_bytes(*public))
        self.port, self._etcd_port, self._peer_port = _free_ports(3)
        self._users: list[User] = []
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self.admin = self.user("admin", "system:masters")

    def user(self, name: str, group: str = "") -> User:
        """Make a user, known by a certificate."""
        self.authority.issue(name, group)
        self._users.append(User(self, name))
        return self._users[-1]

    def service_account(self, namespace: str, name: str) -> User:
        """Return the service account as a user, known by a token."""
        asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
        status, made = self.admin.request("POST", path, asked)
        if status != 201:
            raise RuntimeError(f"no token for {namespace}/{name}: {made}")
        self._users.append(User(self, f"{namespace}-{name}", made["status"]["token"]))
        return self._users[-1]

    def start(self) -> None:
        """Start both, and wait until the API is ready."""
        self.start_etcd()
        self.start_apiserver()

    def start_etcd(self) -> None:
        """Start etcd on the data that it had."""
        client, peer = f"https://127.0.0.1:{self._etcd_port}", f"http://127.0.0.1:{self._peer_port}"
        self._run(
            "etcd", str(ETCD), "--name", "test", "--data-dir", "etcd-data", "--log-level", "warn",
            "--listen-client-urls", client, "--advertise-client-urls", client, "--listen-peer-urls", peer,
            "--initial-advertise-peer-urls", peer, "--initial-cluster", f"test={peer}", "--cert-file", "server.crt",
            "--key-file", "server.key", "--trusted-ca-file", "ca.crt", "--client-cert-auth",
            "--unsafe-no-fsync",  # the data of a test may be lost
        )  # fmt: skip

    def start_apiserver(self) -> None:
        """Start the API server, and wait until it is ready."""
        self._run(
            "kube-apiserver", str(APISERVER), "--etcd-servers", f"https://127.0.0.1:{self._etcd_port}",
            "--etcd-cafile", "ca.crt", "--etcd-certfile", "etcd.crt", "--etcd-keyfile", "etcd.key",
            "--bind-address", "127.0.0.1", "--secure-port", str(self.port), "--tls-cert-file", "server.crt",
            "--tls-private-key-file", "server.key", "--client-ca-file", "ca.crt", "--authorization-mode", "RBAC",
            "--service-account-issuer", "https://kubernetes.default.svc", "--service-account-key-file", "sa.pub",
            "--service-account-signing-key-file", "sa.key", "--service-cluster-ip-range", "10.0.0.0/24",
            "--endpoint-reconciler-type", "none",
        )  # fmt: skip
        self.wait()

    def stop(self, *names: str) -> None:
        """End these processes of it, or all."""
        for user in self._users:
            user.hang_up()
        for name in names or ("kube-apiserver", "etcd"):
            if (process := self._running.pop(name, None)) is not None:
                process.terminate()
                try:
                    process.wait(_PATIENCE)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()

    def crash(self, name: str) -> None:
        """Kill one of its processes. (An API server that is to end first waits for those who watch.)"""
        process = self._running.pop(name)
        process.kill()
        process.wait()

    def send(self, name: str, number: signal.Signals) -> None:
        """Send a signal to one of its processes: SIGSTOP, and it does not answer."""
        self._running[name].send_signal(number)

    def _run(self, name: str, *command: str) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def wait(self) -> None:
        """Wait until the API server is ready."""
        until = time.monotonic() + _PATIENCE
        while time.monotonic() < until and all(process.poll() is None for process in self._running.values()):
            try:
                if self.admin.request("GET", "/readyz")[0] == 200:
                    return
            except OSError:
                pass
            time.sleep(0.05)
        logs = "".join((self.folder / f"{name}.log").read_text()[-3000:] for name in self._running)
        raise RuntimeError(f"the API server does not serve: {logs}")


class User:
    """Somebody with a certificate, or a token: requests as JSON, and `kubectl`."""

    def __init__(self, cluster: Cluster, name: str, token: str | None = None) -> None:
        self.name = name
        self._cluster = cluster
        folder = cluster.folder
        self._tls = ssl.create_default_context(cafile=str(folder / "ca.crt"))
        self._token = token
        if token is None:
            self._tls.load_cert_chain(folder / f"{name}.crt", folder / f"{name}.key")
        self._kept: http.client.HTTPSConnection | None = None
        self._one_at_a_time = threading.RLock()  # a cluster that stops hangs up for a user in another thread
        self.kubeconfig = folder / f"{name}.kubeconfig"
        self.kubeconfig.write_text(yaml.safe_dump(self._configuration(folder)))

    def request(self, method: str, path: str, body: Any = None, content: str = "application/json") -> tuple[int, Any]:
        """Send a request; return the status, and the body, decoded if it is JSON."""
        headers = {"Content-Type": content} | ({"Authorization": f"Bearer {self._token}"} if self._token else {})
        with self._one_at_a_time:
            reused = self._kept is not None
            if self._kept is None:
                self._kept = http.client.HTTPSConnection("127.0.0.1", self._cluster.port, context=self._tls, timeout=30)
            try:
                self._kept.request(method, path, None if body is None else json.dumps(body), headers)
                answer = self._kept.getresponse()
                text = answer.read()
            except (OSError, http.client.HTTPException) as error:
                self.hang_up()
                if reused and method == "GET":  # the server may close a connection at any time
                    return self.request(method, path)
                raise OSError(str(error)) from error
            is_json = answer.headers.get_content_type() == "application/json"
            return answer.status, json.loads(text) if is_json else text.decode()

    def hang_up(self) -> None:
        """Close the connection, if there is one."""
        with self._one_at_a_time:
            if self._kept is not None:
                self._kept.close()
                self._kept = None

    def kubectl(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run kubectl as this user."""
        return subprocess.run(
            [str(KUBECTL), "--kubeconfig", str(self.kubeconfig), *arguments],
            input=stdin, capture_output=True, text=True, timeout=_PATIENCE, check=False,
            env={**os.environ, "KUBECACHEDIR": str(self._cluster.folder / "cache")},
        )  # fmt: skip

    def _configuration(self, folder: Path) -> dict[str, Any]:
        cluster = {"server": f"https://127.0.0.1:{self._cluster.port}", "certificate-authority": str(folder / "ca.crt")}
        user = {"client-certificate": f"{folder / self.name}.crt", "client-key": f"{folder / self.name}.key"}
        if self._token is not None:
            user = {"token": self._token}
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": "test", "user": user}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        }


def _free_ports(number: int) -> list[int]:
    taken = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [one.getsockname()[1] for one in taken]
    for one in taken:
        one.close()
    return ports
