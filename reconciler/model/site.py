"""How to reach things: the parts of a Site. Paths are absolute; secrets are named, never held."""

from __future__ import annotations

from reconciler.model.frozen import dataclass


@dataclass(frozen=True, slots=True)
class SecretFrom:
    """Where a secret is: in an environment variable, or in a file. Exactly one is set."""

    env: str | None = None
    file: str | None = None

    def __str__(self) -> str:
        return f"the environment variable {self.env}" if self.env is not None else f"the file {self.file}"


@dataclass(frozen=True, slots=True)
class Credentials:
    """Where a login is to be found. None: not given."""

    username: SecretFrom | None = None
    password: SecretFrom | None = None


@dataclass(frozen=True, slots=True)
class VCenter:
    """A vCenter that knows the names of VMs, datastores and hosts. Its certificate is verified by the CAs of the
    machine, by those of `ca_file`, or by its `thumbprint` (hexadecimal, SHA-256 or SHA-1, colons or not) alone."""

    server: str
    port: int
    credentials: Credentials
    ca_file: str | None
    thumbprint: str | None


@dataclass(frozen=True, slots=True)
class Lab:
    """The hosts are folders of this one: the embedded site."""

    directory: str


@dataclass(frozen=True, slots=True)
class SSH:
    """The hosts are reached by SSH. What is None is as `~/.ssh/config` says, or OpenSSH has it.

    `connect_timeout` in seconds, until the login is done; `concurrency`: how many connections are made at once;
    `ignore_host_keys`: whoever answers is taken for the host. `manage_service`: where the SSH service of a host does
    not run, vCenter starts it for the time of a run.
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
