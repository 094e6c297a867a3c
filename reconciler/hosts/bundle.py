"""The agent as one stream of bytes: how its modules get into the host's Python without leaving a file behind."""

from __future__ import annotations

import asyncio
import logging
import marshal
import re
import sys
import threading
import zlib
from functools import cache
from importlib.abc import InspectLoader
from importlib.util import find_spec
from pkgutil import walk_packages
from typing import TYPE_CHECKING

import reconciler.agent
from reconciler.hosts.lines import Lines, ProtocolViolationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.hosts.lines import Channel

# Runs on the host with `python -c`: reports the version of Python, reads the length of the bundle, then the bundle, and
# executes it. `i` and `o` are the binary streams, which the bundle goes on using. No quote that a shell cares about.
BOOTSTRAP = (
    "import sys;i=getattr(sys.stdin,'buffer',sys.stdin);o=getattr(sys.stdout,'buffer',sys.stdout);"
    "o.write((' '.join(sys.version.split())+chr(10)).encode());o.flush();"
    "exec(i.read(int(i.readline())))"
)

# `modules` maps a name to (whether it is a package, its code or source); that without a name is `first` of `ship`. The
# last two methods are for Python 2.
_PROGRAM = """
sys.path[:] = [folder for folder in sys.path if folder]
import marshal, os, zlib
modules = marshal.loads(zlib.decompress(i.read({length})))
class Bundle(object):
    def find_spec(self, name, path=None, target=None):
        if name in modules:
            return type(sys.__spec__)(name, self, is_package=modules[name][0])
    def create_module(self, spec):
        return None
    def exec_module(self, module):
        exec(modules[module.__name__][1], module.__dict__)
    def find_module(self, name, path=None):
        return self if name in modules else None
    def load_module(self, name):
        module = sys.modules[name] = type(sys)(name)
        if modules[name][0]:
            module.__path__ = []
        module.__package__ = name if modules[name][0] else name.rpartition(".")[0]
        self.exec_module(module)
        return module
sys.meta_path.insert(0, Bundle())
exec(modules.pop("")[1], {{}})
from vdvs_agent.main import main
main(sys.argv[1] if len(sys.argv) > 1 else "/", i, o)
os._exit(0)  # all output is written: skip the clean-up of the interpreter
"""
_log = logging.getLogger(__name__)
_LONGEST_VERSION = 1000  # bytes
_VERSION = re.compile(rb"\d+\.\d+\.\d+")
_MAKING = threading.Lock()  # all hosts ask for it at once
_READ_EVERYWHERE = 2  # the newest version of marshal that Python 2.7 can read


async def ship(host: str, channel: Channel, first: str = "") -> None:
    """Send the agent to an interpreter that was started with `BOOTSTRAP`. `first`: another program that is run before,
    in a namespace of its own. Raises HostUnreachableError."""
    lines = Lines(host, channel)
    python = await lines.next(lambda: _LONGEST_VERSION)
    if not _VERSION.match(python):
        raise ProtocolViolationError(
            f"{host}: a login prints a line of its own before the agent answers: {python[:80]!r}; let nothing there "
            "(profile, ForceCommand) print to where no terminal is"
        )
    if lines.waiting:
        raise ProtocolViolationError(f"{host}: more than the version of its Python came: {python[:80]!r} ...")
    bundle = await asyncio.to_thread(bundle_for, python.decode(errors="replace").strip(), first)
    _log.debug("%s > the agent, %d bytes", host, len(bundle))
    await channel.send(bundle)


def bundle_for(python: str, first: str = "") -> bytes:
    """Return the bytes for an interpreter of this version: a line with the length, the program, and its modules. The
    version that runs this gets them compiled: compiling takes longer than starting and observing. Any other gets the
    sources, as code compiled by one Python may crash another.
    """
    with _MAKING:
        return _bundle(first, compiled=python == " ".join(sys.version.split()))


@cache
def _bundle(first: str, *, compiled: bool) -> bytes:
    modules: dict[str, tuple[bool, object]] = {
        name: (loader.is_package(ours), (loader.get_code if compiled else loader.get_source)(ours))
        for name, ours, loader in _modules()
    }
    modules[""] = (False, compile(first, "<first>", "exec") if compiled else first)
    packed = zlib.compress(marshal.dumps(modules, marshal.version if compiled else _READ_EVERYWHERE), 1)
    program = _PROGRAM.format(length=len(packed)).encode("ascii")
    return b"%d\n" % len(program) + program + packed


def _modules() -> Iterator[tuple[str, str, InspectLoader]]:
    """Yield the agent's modules: their names on a host, their names here, and their loaders."""
    here = reconciler.agent.__name__
    for ours in (here, *(found.name for found in walk_packages(reconciler.agent.__path__, f"{here}."))):
        loader = getattr(find_spec(ours), "loader", None)
        if not isinstance(loader, InspectLoader):
            raise ImportError(f"the agent's module {ours} cannot be found")
        yield ours.replace(here, "vdvs_agent", 1), ours, loader
