"""Where the Kubernetes API is and who we are there: by a kubeconfig, or, in a pod, by its service account.

access = open_access(kubeconfig=None, context=None)     # the options of the command line
access.server, access.namespace
login = await access.login()                            # kept while it is valid; forget() has it read anew
"""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import msgspec

from reconciler.model.errors import UsageError
from reconciler.model.kinds.site import Secret


class Login(NamedTuple):
    """How a request shows who we are: by a token, or by the certificate in `tls`. `tls` None: a server without TLS."""

    token: Secret | None
    tls: ssl.SSLContext | None


class Access(Protocol):
    """The way to an API server. `server`: its URL, without a slash at its end; `namespace`: ours."""

    server: str
    namespace: str

    async def login(self) -> Login:
        """Return the login, read or made anew where it has expired. Raises UsageError."""
        ...

    def forget(self) -> None:
        """Have the next login read anew: the server does not accept the last one."""
        ...


class KubeConfig:
    """Implements Access by a kubeconfig."""

    def __init__(self, path: Path, context: str | None = None) -> None:
        read: Any = msgspec.yaml.decode(path.read_bytes())
        named = {kind: {one["name"]: one[kind] for one in read[f"{kind}s"]} for kind in ("cluster", "user", "context")}
        chosen = named["context"][context or read["current-context"]]
        cluster, self._user = named["cluster"][chosen["cluster"]], named["user"][chosen["user"]]
        self.server = cluster["server"].rstrip("/")
        self.namespace = chosen.get("namespace", "default")
        self._tls = ssl.create_default_context(cafile=cluster["certificate-authority"])
        self._tls.load_cert_chain(self._user["client-certificate"], self._user["client-key"])

    async def login(self) -> Login:
        """See Access."""
        return Login(None, self._tls)

    def forget(self) -> None:
        """See Access."""


def open_access(kubeconfig: Path | None = None, context: str | None = None) -> Access:
    """Return the access that the options name: else $KUBECONFIG, else the service account of the pod, else
    ~/.kube/config. Raises UsageError."""
    found = kubeconfig or Path(os.environ.get("KUBECONFIG") or Path.home() / ".kube" / "config")
    if not found.exists():
        raise UsageError(f"{found} does not exist; say where the kubeconfig is: --kubeconfig FILE")
    return KubeConfig(found, context)
