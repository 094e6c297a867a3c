"""Site: how to reach hosts and vCenters. Paths are absolute; secrets are named, never held."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Final, Literal, NoReturn

from reconciler.model.base import Strict
from reconciler.model.refs import Source

ALL: Final = "*"
_IP_PATTERN: Final = re.compile(r"[*?.]*[0-9][0-9*?.]*")
_IP_ADDRESS: Final = re.compile(r"[0-9.]+")


def matches(name: str, pattern: str) -> bool:
    """Return whether a name is one of a pattern, in which `*` stands for any text and `?` for one character: the
    admission policy says the same."""
    return fnmatchcase(name, pattern.replace("[", "[[]"))


class Secret:
    """Text that prints as `***`, equals only itself, and can be neither pickled nor encoded as JSON."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text. Only for the call that sends it to the peer."""
        return self._text

    def __repr__(self) -> str:
        return "***"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not stored")


class Login(Strict, frozen=True):
    """Account and password. `password` None: log in by key, from a file or the SSH agent.

    `identity`: a private key, instead of those; `trusted`: what vouches for the peer, instead of files: known hosts
    as OpenSSH writes them, or certificates of authorities in PEM.
    """

    user: str
    password: Secret | None
    identity: Secret | None = None
    trusted: str | None = None


class KeyRef(Strict, frozen=True):
    """A key of a Secret or ConfigMap in the namespace of the operator."""

    kind: Literal["Secret", "ConfigMap"]
    name: str
    key: str

    def __str__(self) -> str:
        return f"the key {self.key} of the {self.kind} {self.name}"


class SecretFrom(Strict, frozen=True):
    """Where a secret is: in an environment variable, in a file, or on the API server. Exactly one is set."""

    env: str | None = None
    file: str | None = None
    ref: KeyRef | None = None

    def __str__(self) -> str:
        if self.ref is not None:
            return str(self.ref)
        return f"the environment variable {self.env}" if self.env is not None else f"the file {self.file}"


class Credentials(Strict, frozen=True):
    """Where a login is to be found. None: not given."""

    username: SecretFrom | None = None
    password: SecretFrom | None = None


class VCenter(Strict, frozen=True):
    """A vCenter, the source of names of VMs, datastores and hosts.

    Its certificate is verified by the CAs of the machine, by those of `ca_file`, or by `thumbprint` alone (hexadecimal,
    SHA-256 or SHA-1, with or without colons). `ca`: these are on the API server.
    """

    server: str
    port: int
    credentials: Credentials
    ca_file: str | None
    thumbprint: str | None
    ca: KeyRef | None = None


class Lab(Strict, frozen=True, tag_field="is", tag=True):
    """The embedded site: the hosts are folders below `directory`."""

    directory: str


class SSH(Strict, frozen=True, tag_field="is", tag=True):
    """Hosts reached by SSH. None: as in `~/.ssh/config`, or the default of OpenSSH.

    `connect_timeout`: seconds until the login is done; `concurrency`: number of connections made at once;
    `ignore_host_keys`: accept any host key; `manage_service`: have vCenter start the SSH service of a host for the time
    of a run, if it is not running; `legacy_algorithms`: with SHA-1, offered to old hosts, too; `identity_source`: where
    the Site names `identity_file`. `identity`, `known_hosts`: these are on the API server.
    """

    user: str
    port: int | None
    identity_file: str | None
    known_hosts_file: str | None
    credentials: Credentials
    connect_timeout: int
    concurrency: int
    ignore_host_keys: bool
    manage_service: bool = False
    legacy_algorithms: tuple[str, ...] = ()
    identity_source: Source | None = None
    identity: KeyRef | None = None
    known_hosts: KeyRef | None = None

    @property
    def refs(self) -> tuple[KeyRef, ...]:
        """References of a login to the API server."""
        given = (self.credentials.username, self.credentials.password)
        refs = (self.identity, self.known_hosts, *(where.ref for where in given if where is not None))
        return tuple(ref for ref in refs if ref is not None)


class Admitted(Strict, frozen=True):
    """Namespaces whose objects belong to a site, by name or by labels (None: not by these), and what these may be and
    name: patterns of datastores, paths of folders of VMs, patterns of vmgroups that a Membership adds to, and, if there
    are any, that a VMGroup may be, and patterns of ConfigDBs to be, or to be in (None: any). `*` is all.
    """

    names: tuple[str, ...] | None
    match_labels: tuple[tuple[str, str], ...] | None
    kinds: tuple[str, ...] = ()
    datastores: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    vmgroups: tuple[str, ...] = ()
    config_dbs: tuple[str, ...] | None = None

    def admits(self, namespace: str, labels: Mapping[str, str]) -> bool:
        """Return whether a namespace is one of these."""
        if self.names is not None:
            return namespace in self.names or ALL in self.names
        return set(self.match_labels or ()) <= labels.items()


class Reconciling(Strict, frozen=True):
    """Limits to the operator's writes to a site, as the options of `vdvs watch`: the mode, risks of changes that are
    applied, the most changes in a pass (`5`, `5%`; None: any number), and seconds between passes.
    """

    mode: str = "report"
    auto_apply: tuple[str, ...] = ()
    max_changes: str | None = None
    interval: int = 30


class Site(Strict, frozen=True):
    """How to reach a site: the way to the hosts, the source of names (neither vCenters nor a file: the inventory of the
    lab), and the addresses that manifests may name (None: all). `repository_url`: where people read the manifests.
    """

    name: str
    source: Source
    way: Lab | SSH
    vcenters: tuple[VCenter, ...]
    inventory_file: str | None
    allowed_hosts: tuple[str, ...] | None
    admitted: tuple[Admitted, ...] = ()
    reconcile: Reconciling = Reconciling()
    deletion_policy: str = "Retain"
    repository_url: str | None = None

    def __str__(self) -> str:
        if isinstance(self.way, Lab):
            return f"site {self.name} (lab {self.way.directory})"
        return (
            f"site {self.name} (names from {self.inventory_file or ', '.join(each.server for each in self.vcenters)})"
        )

    @property
    def reach(self) -> tuple[str, tuple[str, ...], str | None]:
        """Identity of the site besides its name: the folder of a lab (or `ssh`), the vCenters, the inventory file.
        Logins, ports, time-outs, certificates and allowed addresses are no part of it.
        """
        hosts = self.way.directory if isinstance(self.way, Lab) else "ssh"
        return hosts, self.servers, self.inventory_file

    @property
    def servers(self) -> tuple[str, ...]:
        """The names of the vCenters."""
        return tuple(sorted(vcenter.server for vcenter in self.vcenters))

    def allows(self, address: str) -> bool:
        """Return whether a host at this address may be reached. `10.1.*` means IP addresses: not `10.1.example.com`,
        which anybody can have lead anywhere."""
        patterns = self.allowed_hosts
        return patterns is None or any(
            matches(address.lower(), pattern.lower())
            and (_IP_PATTERN.fullmatch(pattern) is None or _IP_ADDRESS.fullmatch(address) is not None)
            for pattern in patterns
        )
