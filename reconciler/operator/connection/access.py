"""Where the Kubernetes API is and who we are there: by a kubeconfig, or, in a pod, by its service account.

    access = open_access(kubeconfig=None, context=None)     # the options of the command line
    access.server, access.namespace
    login = await access.login()                            # as long as it is valid, the last one

What a server must prove is never waived: `insecure-skip-tls-verify` is refused, and so is a server without TLS on
another machine. A kubeconfig is trusted as the command line that names it: it may name a program (an exec plugin),
which gets no shell, no terminal, PLUGIN_TIME and PLUGIN_OUTPUT.
"""

from __future__ import annotations

import asyncio
import binascii
import os
import signal
import ssl
import tempfile
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple, Protocol, TypeVar
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct, field

from reconciler.model.base import clip
from reconciler.model.errors import UsageError
from reconciler.model.kinds.site import Secret
from reconciler.ports import Clock
from reconciler.wiring.clock_and_chance import SystemClock

PLUGIN_TIME: Final = 60.0  # seconds
PLUGIN_OUTPUT: Final = 2**20  # bytes
_FAREWELL: Final = 5.0  # seconds that a plugin that was killed may take to end
SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_PLUGIN_APIS: Final = tuple(f"client.authentication.k8s.io/{version}" for version in ("v1", "v1beta1"))
_EARLY: Final = timedelta(seconds=10)  # a login that is valid for less is not used any more
_LARGEST_TOKEN: Final = 2**16  # bytes
_NAME_ONE: Final = "name a kubeconfig with --kubeconfig or KUBECONFIG"
_POD: Final = f"KUBERNETES_SERVICE_HOST is set, as in a pod; elsewhere, {_NAME_ONE}"

T = TypeVar("T")


class Login(NamedTuple):
    """How a request shows who we are: by `token`, or by the certificate in `tls`, which also has the CAs to trust.
    `tls` None: a server on this machine, without TLS. `server_name`: that in its certificate; None: that of its URL."""

    token: Secret | None
    tls: ssl.SSLContext | None
    server_name: str | None = None


class APIAccess(Protocol):
    """The way to an API server. `server`: its URL, without a slash at its end; `namespace`: ours."""

    server: str
    namespace: str

    async def login(self) -> Login:
        """Return the login; a new one where the last has expired. Raises UsageError."""
        ...

    def forget(self, login: Login) -> None:
        """Have the next login made anew, if the last is this one, which the server does not accept."""
        ...


def open_access(kubeconfig: Path | None = None, context: str | None = None) -> APIAccess:
    """Return the access by the kubeconfig that is given; else by $KUBECONFIG; else by the service account of the pod;
    else by ~/.kube/config. Raises UsageError."""
    if kubeconfig is not None:
        return KubeConfig([kubeconfig], context)
    if named := [Path(one) for one in os.environ.get("KUBECONFIG", "").split(os.pathsep) if one]:
        return KubeConfig(named, context)
    if context is None and "KUBERNETES_SERVICE_HOST" in os.environ:
        port = os.environ.get("KUBERNETES_SERVICE_PORT", "443")
        return InCluster(os.environ["KUBERNETES_SERVICE_HOST"], port, SERVICE_ACCOUNT)
    usual = Path(os.path.expanduser("~/.kube/config"))  # noqa: PTH111 - Path.home raises for a user without a home
    return KubeConfig([usual], context)


class InCluster:
    """Implements APIAccess by the service account of a pod. Its token is read anew for each request, as it rotates."""

    def __init__(self, host: str, port: str, folder: Path) -> None:
        self.server = f"https://{f'[{host}]' if ':' in host else host}:{port}"
        self._folder = folder
        self._tls: ssl.SSLContext | None = self._trusting()
        self.namespace = _read(folder / "namespace", _POD).decode(errors="replace").strip()

    async def login(self) -> Login:
        """See APIAccess."""
        if self._tls is None:
            self._tls = self._trusting()
        return Login(_token_in(self._folder / "token", _POD), self._tls)

    def forget(self, login: Login) -> None:
        """See APIAccess. The CAs may have been replaced; the token is read each time."""
        if login.tls is self._tls:
            self._tls = None

    def _trusting(self) -> ssl.SSLContext:
        return _tls(_read(self._folder / "ca.crt", _POD), str(self._folder / "ca.crt"))


class _Cluster(Struct, rename="kebab"):
    server: str
    certificate_authority: str = ""
    certificate_authority_data: str = ""
    tls_server_name: str | None = None
    insecure_skip_tls_verify: bool = False
    proxy_url: str = ""


class _Variable(Struct):
    name: str
    value: Secret


class _Exec(Struct, rename="camel"):
    command: str
    api_version: str
    args: list[str] | None = None
    env: list[_Variable] | None = None
    interactive_mode: str = ""
    provide_cluster_info: bool = False


class _User(Struct, rename="kebab"):
    client_certificate: str = ""
    client_certificate_data: str = ""
    client_key: str = ""
    client_key_data: Secret | None = None
    token: Secret | None = None
    token_file: str = field(name="tokenFile", default="")
    exec: _Exec | None = None
    auth_provider: Any = None
    username: Any = None
    impersonated: Any = field(name="as", default=None)


class _Context(Struct):
    cluster: str
    user: str = ""
    namespace: str = ""


class _NamedCluster(Struct):
    name: str
    cluster: Any = None  # a _Cluster, if it is the one that is used


class _NamedUser(Struct):
    name: str
    user: Any = None  # a _User


class _NamedContext(Struct):
    name: str
    context: Any = None  # a _Context


class _Config(Struct, rename="kebab"):
    current_context: str = ""
    clusters: list[_NamedCluster] | None = None
    users: list[_NamedUser] | None = None
    contexts: list[_NamedContext] | None = None


class _Credential(Struct, rename="camel"):
    expiration_timestamp: Annotated[datetime, Meta(tz=True)] | None = None
    token: Secret | None = None
    client_certificate_data: str = ""
    client_key_data: Secret | None = None


class _Answer(Struct, rename="camel"):
    """Output of an exec plugin."""

    api_version: str
    status: _Credential


class _Chosen(NamedTuple):
    """A cluster and a user of a kubeconfig, and the folders that their relative paths start from."""

    cluster: _Cluster
    cluster_folder: Path
    user: _User
    user_folder: Path
    namespace: str


class KubeConfig:
    """Implements APIAccess by kubeconfig files; of what several define, the first one counts.

    They are read again for each new login, as some clusters renew certificates in them.
    """

    def __init__(self, files: Sequence[Path], context: str | None = None, clock: Clock | None = None) -> None:
        self._files = files
        self._context = context
        self._now = (clock or SystemClock()).now
        self._lock = asyncio.Lock()
        self._kept: Login | None = None
        self._until: datetime | None = None  # the kept login is valid
        self._token_file: Path | None = None
        chosen = self._choose()
        self.server = chosen.cluster.server.rstrip("/")
        self.namespace = chosen.namespace

    async def login(self) -> Login:
        """See APIAccess."""
        async with self._lock:
            if self._kept is None or (self._until is not None and self._now() > self._until - _EARLY):
                self._kept = await self._make()
            kept = self._kept
        if self._token_file is None:
            return kept
        return kept._replace(token=_token_in(self._token_file, f"{self._where} names it"))

    def forget(self, login: Login) -> None:
        """See APIAccess."""
        if self._kept is not None and login.tls is self._kept.tls:  # each login has a context of its own
            self._kept = None

    async def _make(self) -> Login:
        cluster, cluster_folder, user, folder, _ = self._choose()
        if cluster.server.rstrip("/") != self.server:
            raise UsageError(f"{self._where} names another server now, {cluster.server}: start again for it")
        certificate = _content(user.client_certificate_data, user.client_certificate, folder, self._where)
        key_data = None if user.client_key_data is None else user.client_key_data.reveal()
        key = _content(key_data, user.client_key, folder, self._where)
        token, self._until = user.token, None
        if user.exec is not None:
            made = await _ask(user.exec, cluster, cluster_folder, folder, self._where)
            token, self._until = made.token, made.expiration_timestamp
            if made.client_key_data is not None:
                certificate, key = made.client_certificate_data.encode(), made.client_key_data.reveal().encode()
        self._token_file = folder / user.token_file if user.token_file else None
        name = cluster.tls_server_name
        if cluster.server.startswith("http:"):
            return Login(_checked(token, self._where), None, name)
        authority = _content(
            cluster.certificate_authority_data, cluster.certificate_authority, cluster_folder, self._where
        )
        return Login(_checked(token, self._where), _tls(authority, self._where, certificate, key), name)

    @property
    def _where(self) -> str:
        return os.pathsep.join(map(str, self._files))

    def _choose(self) -> _Chosen:
        clusters: dict[str, tuple[object, Path]] = {}
        users: dict[str, tuple[object, Path]] = {}
        contexts: dict[str, tuple[object, Path]] = {}
        current = self._context or ""
        for file in self._files:
            if len(self._files) > 1 and not file.exists():
                continue  # as kubectl does
            config, folder = _parsed(file), file.absolute().parent
            current = current or config.current_context
            for cluster in config.clusters or ():
                clusters.setdefault(cluster.name, (cluster.cluster, folder))
            for user in config.users or ():
                users.setdefault(user.name, (user.user, folder))
            for context in config.contexts or ():
                contexts.setdefault(context.name, (context.context, folder))
        if not current:
            raise UsageError(f"{self._where} has no current-context; choose one with --context")
        chosen, _ = self._named("context", contexts, current, _Context)
        its_cluster, its_folder = self._named("cluster", clusters, chosen.cluster, _Cluster)
        no_user = (_User(), its_folder)
        its_user, user_folder = self._named("user", users, chosen.user, _User) if chosen.user else no_user
        for refused, why in _refused(its_cluster, its_user):
            if refused:
                raise UsageError(f"{self._where}: context {clip(current, 100)}: {why}")
        return _Chosen(its_cluster, its_folder, its_user, user_folder, chosen.namespace or "default")

    def _named(self, what: str, there: Mapping[str, tuple[object, Path]], name: str, type: type[T]) -> tuple[T, Path]:
        """Return what is called so, with its folder. Others than that may be as they like."""
        if name not in there:
            names = clip(", ".join(sorted(there)), 200) or "none"
            raise UsageError(f"{self._where} has no {what} {clip(name, 100)!r}; there are: {names}")
        found, folder = there[name]
        try:
            return msgspec.convert(found, type, dec_hook=_secret), folder
        except msgspec.ValidationError as error:
            raise UsageError(f"{self._where} is no kubeconfig: its {what} {clip(name, 100)!r}: {error}") from None


def _refused(cluster: _Cluster, user: _User) -> Sequence[tuple[bool, str]]:
    """Return settings that a kubeconfig may have and that are not followed: whether each is there, and what to do."""
    url = urlsplit(cluster.server)
    plugin = user.exec
    return (
        (
            cluster.insecure_skip_tls_verify,
            "insecure-skip-tls-verify is refused, as whoever answers would get our token; give certificate-authority",
        ),
        (url.scheme not in ("http", "https") or not url.hostname, f"the server {cluster.server} is no URL of HTTPS"),
        (
            url.scheme == "http" and not _is_loopback(url.hostname or ""),
            f"the server {cluster.server} is on another machine and has no TLS, which is refused; use https",
        ),
        (bool(cluster.proxy_url), "proxy-url is not supported; use a server that can be reached directly"),
        (user.auth_provider is not None, "auth-provider is not supported, nor by kubectl any more; use exec"),
        (user.username is not None, "username and password are not supported, nor by Kubernetes; use a token"),
        (user.impersonated is not None, "impersonation (as) is not supported; use a user with its own rights"),
        (
            plugin is not None and plugin.api_version not in _PLUGIN_APIS,
            f"the apiVersion of exec must be {' or '.join(_PLUGIN_APIS)}",
        ),
        (
            plugin is not None and plugin.interactive_mode == "Always",
            "its exec plugin asks its user (interactiveMode: Always), and here is nobody; use another",
        ),
    )


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _parsed(file: Path) -> _Config:
    try:
        return msgspec.yaml.decode(_read(file, _NAME_ONE), type=_Config)
    except msgspec.ValidationError as error:
        raise UsageError(f"{file} is no kubeconfig: {error}; {_NAME_ONE}") from None
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        # Its message would show the line, which may hold a secret.
        mark = getattr(error.__context__, "problem_mark", None)
        line = f": line {mark.line + 1}" if mark is not None else ""
        raise UsageError(f"{file} is not valid YAML{line}") from None


def _secret(wanted: type, value: object) -> Secret:
    if wanted is Secret and isinstance(value, str):
        return Secret(value)
    raise TypeError(f"expected a text, got `{type(value).__name__}`")


def _read(file: Path, about: str) -> bytes:
    """Return the content of a file. `about`: why it is read, or what to do if it cannot be."""
    try:
        return file.read_bytes()
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {str(error.strerror).lower()}; {about}") from None


def _content(data: str | None, path: str, folder: Path, where: str) -> bytes:
    """Return what a kubeconfig holds itself, in base64, or names; empty: neither. What it holds counts first."""
    if not data:
        return _read(folder / path, f"{where} names it") if path else b""
    try:
        return b64decode(data, validate=True)
    except binascii.Error:
        raise UsageError(f"{where} has a certificate or key that is not base64") from None


def _token_in(file: Path, about: str) -> Secret:
    content = _read(file, about)
    token = _checked(Secret(content[:_LARGEST_TOKEN].decode(errors="replace").strip()), str(file))
    if token is None:
        raise UsageError(f"{file} is empty; it should have the token for the Kubernetes API")
    return token


def _checked(token: Secret | None, where: str) -> Secret | None:
    """The token, if it can be sent; None: there is none."""
    if token is None or not token.reveal():
        return None
    if not (token.reveal().isascii() and token.reveal().isprintable() and " " not in token.reveal()):
        raise UsageError(f"{where} has a token that is none: it has blanks, or more than letters, digits and signs")
    return token


def _tls(authority: bytes, where: str, certificate: bytes = b"", key: bytes = b"") -> ssl.SSLContext:
    """A context that trusts `authority`, in PEM, alone (empty: the CAs of this machine) and shows a certificate."""
    try:
        context = ssl.create_default_context(cadata=authority.decode("ascii", "ignore") or None)
        if certificate:
            with tempfile.NamedTemporaryFile() as file:  # mode 0600; ssl loads from files only
                file.write(certificate + b"\n" + key)
                file.flush()
                context.load_cert_chain(file.name, password=lambda: b"")  # rather than ask at the terminal
    except (ssl.SSLError, ValueError) as error:
        raise UsageError(f"{where} leads to a certificate or key that cannot be used: {error}") from None
    except OSError as error:
        raise UsageError(f"a client certificate cannot be loaded by a temporary file: {error.strerror}") from None
    return context


async def _ask(plugin: _Exec, cluster: _Cluster, cluster_folder: Path, folder: Path, where: str) -> _Credential:
    """Run an exec plugin. Source: Kubernetes documentation, client-go credential plugins."""
    command = str(folder / plugin.command) if "/" in plugin.command else plugin.command
    name = f"the exec plugin {clip(plugin.command, 200)}"
    spec: dict[str, Any] = {"interactive": False}
    if plugin.provide_cluster_info:
        authority = _content(cluster.certificate_authority_data, cluster.certificate_authority, cluster_folder, where)
        spec["cluster"] = {
            "server": cluster.server,
            "tls-server-name": cluster.tls_server_name or "",
            "certificate-authority-data": b64encode(authority).decode(),
        }
    asked = {"apiVersion": plugin.api_version, "kind": "ExecCredential", "spec": spec}
    own = {one.name: one.value.reveal() for one in plugin.env or ()}
    try:
        process = await asyncio.create_subprocess_exec(
            command, *(plugin.args or ()),
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            env=os.environ | own | {"KUBERNETES_EXEC_INFO": msgspec.json.encode(asked).decode()},
            start_new_session=True,
        )  # fmt: skip
    except (OSError, ValueError) as error:
        raise UsageError(f"{name} cannot be run: {getattr(error, 'strerror', None) or error}") from None
    try:
        async with asyncio.timeout(PLUGIN_TIME):
            output, complaint = await asyncio.gather(_bounded(process.stdout), _bounded(process.stderr))
            await process.wait()
    except TimeoutError:
        raise UsageError(f"{name} takes more than {PLUGIN_TIME:g} s") from None
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            with suppress(TimeoutError):  # who has left its group may still hold its output
                async with asyncio.timeout(_FAREWELL):  # until its output is read, asyncio does not see its end
                    await asyncio.gather(_bounded(process.stdout), _bounded(process.stderr))
                    await process.wait()
    if process.returncode:
        lines = [line for line in complaint.decode(errors="replace").splitlines() if line.strip()]
        said = "".join(char if char.isprintable() else " " for char in clip(lines[-1].strip() if lines else "", 200))
        raise UsageError(f"{name} failed with exit code {process.returncode}: {said}")
    if len(output) > PLUGIN_OUTPUT:
        raise UsageError(f"{name} prints more than {PLUGIN_OUTPUT:,} bytes")
    try:
        answer = msgspec.json.decode(output, type=_Answer, dec_hook=_secret)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise UsageError(f"{name} does not print an ExecCredential: {error}") from None
    made = answer.status
    if answer.api_version != plugin.api_version:
        raise UsageError(f"{name} answers with apiVersion {clip(answer.api_version, 100)}, not {plugin.api_version}")
    if made.token is None and not (made.client_certificate_data and made.client_key_data):
        raise UsageError(f"{name} gives neither a token nor a certificate with its key")
    return made


async def _bounded(stream: asyncio.StreamReader | None) -> bytes:
    """The bytes up to the end of `stream`, of which one more than PLUGIN_OUTPUT are kept."""
    kept = bytearray()
    while stream is not None and (part := await stream.read(2**16)):
        kept += part[: PLUGIN_OUTPUT + 1 - len(kept)]
    return bytes(kept)
