"""A snapshot in place of the world: names, hosts and books as they were, behind the same ports. Nobody is reached."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from concurrent.futures import Future
from datetime import datetime, timedelta
from threading import Thread
from typing import TYPE_CHECKING, Final, NoReturn

from msgspec import Struct

from reconciler import snapshot as snapshots
from reconciler.execution.witness import Witnesses
from reconciler.loader.files import UnreadableError, read_bytes
from reconciler.model.errors import HostUnreachableError, UsageError, VdvsError
from reconciler.model.inventory import Inventory
from reconciler.model.kinds.configdb import Backup, BackupOrigin, DBState, ObservedConfigDB
from reconciler.model.kinds.host import ObservedHost
from reconciler.model.kinds.site import Secret
from reconciler.model.refs import VOLUMES, Location
from reconciler.model.state import Observed, ObservedDatastore, Resolved
from reconciler.ports import Books, Clock, HostAgent, Hosts, Observer, Question, Report
from reconciler.snapshot import LARGEST, Snapshot

if TYPE_CHECKING:
    from reconciler.reconcile import World

NOT_LOOKED: Final = "the snapshot does not cover it; take a new one with these manifests"
_CLOCKS_APART: Final = timedelta(minutes=5)  # between the machine that took a snapshot and ours
_LONGEST: Final = 60.0  # seconds for a download
_SILENCE: Final = 15.0  # seconds


def read(source: str, token_file: str | None, max_age: timedelta, clock: Clock) -> tuple[Snapshot, timedelta]:
    """Return the snapshot in a file or at a URL, and its age. Raises VdvsError if it is older than `max_age`."""
    is_url = "://" in source
    if token_file is not None and not is_url:
        raise UsageError("--token-file goes with a URL")
    taken = snapshots.from_bytes(_download(source, token_file) if is_url else _file(source), source)
    now = clock.now()
    age = now - taken.taken_at
    if age > max_age:
        raise VdvsError(
            f"{source}: the snapshot is too old: it was taken {words(age)} ago, more than {words(max_age)} (--max-age);"
            " take a new one with `vdvs snapshot`"
        )
    if age < -_CLOCKS_APART:
        raise VdvsError(
            f"{source}: it says that it was taken at {taken.taken_at:%Y-%m-%d %H:%M:%S %Z}, which is yet to come"
        )
    return taken, max(age, timedelta())


def words(time: timedelta) -> str:
    """Write a time as people say it: `40 s`, `12 min`, `3 h`, `2 days`."""
    seconds = time.total_seconds()
    for limit, unit, name in ((120, 1, "s"), (7200, 60, "min"), (172800, 3600, "h")):
        if seconds < limit:
            return f"{seconds // unit:.0f} {name}"
    return f"{seconds // 86400:.0f} days"


def world_of(taken: Snapshot, observer: Observer, new_uuid: Callable[[], str]) -> World:
    """Return the world as it was when the snapshot was taken."""
    from reconciler.reconcile import Memory, NoBooks, World

    then = _Then(taken)
    memory = Memory(_Confirmed())
    return World(then, SnapshotHosts(taken), then, new_uuid, observer, books=NoBooks(taken.kept), memory=memory)


class _Then(Struct, frozen=True):
    """Implements `ports.InventorySource` and `ports.Clock`."""

    taken: Snapshot

    async def snapshot(self) -> Inventory:
        """See `ports.InventorySource`."""
        return self.taken.inventory

    def now(self) -> datetime:
        """See `ports.Clock`."""
        return self.taken.taken_at


class _Confirmed(Witnesses):
    """A stand-in: whoever took the snapshot has compared what several hosts say."""

    async def confirm(self, _resolved: Resolved, observed: Observed, _hosts: Hosts, _books: Books) -> Observed:
        """See `Witnesses`."""
        return observed


class SnapshotHosts:
    """Implements `ports.Hosts`: they tell what they told then, and do nothing. What they were not asked is unknown."""

    at_once = None

    def __init__(self, taken: Snapshot) -> None:
        self.addresses = taken.addresses
        self.hosts = {host.name: host for host in (*taken.undeclared_hosts, *taken.hosts)}
        self.unreachable = {host.name: host.reason for host in taken.unreachable}
        self.config_dbs = dict(taken.config_dbs)
        self.datastores = {datastore.url: datastore for datastore in taken.datastores}

    def agent(self, name: str, address: str) -> HostAgent:
        """See `ports.Hosts`."""
        return _SnapshotHost(self, name, address)

    def keep_only(self, names: Container[str]) -> None:
        """See `ports.Hosts`."""

    async def close(self) -> None:
        """See `ports.Hosts`."""


class _SnapshotHost(Struct, frozen=True):
    """Implements `ports.HostAgent`."""

    site: SnapshotHosts
    name: str
    address: str

    def connect(self, first: Question) -> None:
        """See `ports.HostAgent`."""

    async def observe(self, question: Question) -> Report:
        """See `ports.HostAgent`."""
        host = self._host()
        databases = {path: self._config_db(path) for path in question.config_dbs}
        return Report(host, databases, {url: self._datastore(url) for url in question.datastores})

    def _host(self) -> ObservedHost:
        if self.site.addresses.get(self.name, self.name) != self.address:
            raise HostUnreachableError(f"the snapshot has a host of this name at another address; {NOT_LOOKED}")
        if self.name in self.site.unreachable:
            raise HostUnreachableError(self.site.unreachable[self.name])
        if self.name not in self.site.hosts:
            raise HostUnreachableError(NOT_LOOKED)
        return self.site.hosts[self.name]

    def _config_db(self, path: str) -> ObservedConfigDB:
        place = Location(path, "" if path.startswith(VOLUMES) else self.name)
        unknown = ObservedConfigDB(path, DBState.UNKNOWN, "NotInSnapshot", NOT_LOOKED, None, "")
        return self.site.config_dbs.get(place, unknown)

    def _datastore(self, url: str) -> ObservedDatastore:
        return self.site.datastores.get(url) or ObservedDatastore(url, None, NOT_LOOKED, {})

    async def watch(self, *_asked: object) -> bool:
        """See `ports.HostAgent`."""
        return False

    async def backups(self, path: str) -> tuple[Backup, ...]:
        """See `ports.HostAgent`."""
        _refuse(path)

    async def read_backup(self, path: str, name: str) -> tuple[ObservedConfigDB, BackupOrigin]:
        """See `ports.HostAgent`."""
        _refuse(path, name)

    async def announce(self, path: str, put: object, drop: Sequence[str]) -> tuple[tuple[str, str], ...]:
        """See `ports.HostAgent`."""
        _refuse(path, put, drop)

    async def _write(self, *asked: object) -> NoReturn:
        _refuse(*asked)

    apply_db = copy_db = retire_db = apply_links = apply_files = apply_host = _write


def _refuse(*_asked: object) -> NoReturn:
    raise UsageError("a snapshot can only be looked at")


def _file(name: str) -> bytes:
    try:
        return read_bytes(name, LARGEST)
    except OSError as error:
        why = (error.strerror or "unreadable").lower()
        raise UsageError(f"{name} cannot be read: {why}; give a file that `vdvs snapshot` wrote, or a URL") from error
    except UnreadableError as error:
        raise UsageError(f"{name}: {str(error).removesuffix('; split it')}") from error


def _download(url: str, token_file: str | None) -> bytes:
    """Return what is at a URL. Raises UsageError for one that must not be asked, and VdvsError."""
    # Imported here, as they are slow to import.
    from http.client import HTTPException
    from urllib.error import HTTPError, URLError
    from urllib.parse import urlsplit
    from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

    from reconciler.dashboard.listening import is_loopback, token_of

    try:
        parts = urlsplit(url)
        host, _port = parts.hostname or "", parts.port
    except ValueError:
        raise UsageError(f"{url}: this is no URL") from None
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(host)):
        raise UsageError(f"{url}: give an https:// URL; http:// is for this machine only")
    if parts.username is not None or not host:
        raise UsageError("a URL of a snapshot has a host and no password; give the token with --token-file")
    headers = {"Accept": "application/gzip"}
    if token_file is not None:
        token: Secret = token_of("--token-file", token_file)
        headers["Authorization"] = f"Bearer {token.reveal()}"

    class Stay(HTTPRedirectHandler):
        """Follow no redirect: the token is for this server only."""

        def redirect_request(self, *_asked: object) -> None:
            return None

    opener = build_opener(Stay(), *([ProxyHandler({})] if is_loopback(host) else []))

    def fetch() -> bytes:
        with opener.open(Request(url, headers=headers), timeout=_SILENCE) as answer:  # noqa: S310 - see above
            return bytes(answer.read(LARGEST + 1))

    try:
        found = _within(_LONGEST, fetch)
    except TimeoutError:
        raise VdvsError(f"{url}: it did not come within {_LONGEST:g} s") from None
    except HTTPError as error:
        with error:
            raise VdvsError(f"{url}: the server answers {error.code}{_hint(error.code)}") from error
    except (URLError, HTTPException, OSError) as error:
        cause = getattr(error, "reason", None) or error
        why = getattr(cause, "strerror", None) or cause or "no answer"
        raise VdvsError(f"{url} does not answer: {str(why).lower()}; is the watch with --listen there?") from error
    if len(found) > LARGEST:
        raise VdvsError(f"{url}: more than {LARGEST // 2**20} MiB came")
    return found


def _within(seconds: float, do: Callable[[], bytes]) -> bytes:
    """Return what `do` returns. Raises what it raises, and TimeoutError: however slowly a server sends, it must end."""
    found: Future[bytes] = Future()

    def run() -> None:
        try:
            found.set_result(do())
        except Exception as error:
            found.set_exception(error)

    Thread(target=run, daemon=True).start()
    return found.result(seconds)


def _hint(code: int) -> str:
    if code in (401, 403):
        return "; give the token with --token-file"
    if code == 404:
        return "; a watch serves it at /api/snapshot, with --listen and --token-file"
    return " (redirects are not followed)" if code // 100 == 3 else ""
