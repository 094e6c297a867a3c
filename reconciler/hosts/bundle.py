"""The agent as one stream of bytes: how its modules get into the host's Python without leaving a file behind."""

from __future__ import annotations

import marshal
import sys
import zlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import reconciler.agent

if TYPE_CHECKING:
    from reconciler.hosts.conversation import Channel

# Runs on the host with `python -c`: says which Python it is, reads the length of the bundle, then the bundle, and
# executes it. `i` and `o` are the binary streams, which the bundle goes on using. No quote that a shell cares about.
BOOTSTRAP = (
    "import sys;i=getattr(sys.stdin,'buffer',sys.stdin);o=getattr(sys.stdout,'buffer',sys.stdout);"
    "o.write((' '.join(sys.version.split())+chr(10)).encode());o.flush();"
    "exec(i.read(int(i.readline())))"
)

# `modules` maps a name to (whether it is a package, its code or source). The last two methods are for Python 2.
_LOADER = """
sys.path[:] = [folder for folder in sys.path if folder]
class Bundle(object):
    def find_spec(self, name, path=None, target=None):
        if name in modules:
            return type(sys.__spec__)(name, self, is_package=modules[name][0])
    def create_module(self, spec):
        return None
    def exec_module(self, module):
        exec(compiled(module.__name__, modules[module.__name__][1]), module.__dict__)
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
from vdvs_agent.main import main
main(sys.argv[1] if len(sys.argv) > 1 else "/", i, o)
import os
os._exit(0)  # all is said: what is left in memory need not be taken apart
"""
_SOURCES = """
import zlib
exec(zlib.decompress(i.read({length})))
def compiled(name, source):
    return compile(source, name, "exec", 0, True)
"""
_CODES = """
import marshal
modules = marshal.loads(i.read({length}))
def compiled(name, code):
    return code
"""


async def ship(channel: Channel, first: str = "") -> None:
    """Send the agent to an interpreter that was started with `BOOTSTRAP`. `first`: another program that is run before,
    in a namespace of its own. Raises HostUnreachableError."""
    python = await channel.receive()
    await channel.send(bundle_for(python.decode(errors="replace").strip(), first))


def bundle_for(python: str, first: str = "") -> bytes:
    """Return what is written to an interpreter that says it is this one: a line with the length, the program, and its
    modules. For the Python that runs this they are compiled already, as compiling takes an agent longer than looking.
    For any other they are sent as they stand, packed, as to forty hosts at once the way is long."""
    return _compiled(first) if python == " ".join(sys.version.split()) else _packed(first)


@cache
def _packed(first: str) -> bytes:
    packed = zlib.compress(f"modules = {_modules()!r}".encode("ascii"), 9)
    return _program(first, _SOURCES.format(length=len(packed))) + packed


@cache
def _compiled(first: str) -> bytes:
    codes = {
        name: (is_package, compile(source, name, "exec", 0, dont_inherit=True))
        for name, (is_package, source) in _modules().items()
    }
    packed = marshal.dumps(codes)
    return _program(first, _CODES.format(length=len(packed))) + packed


def _modules() -> dict[str, tuple[bool, str]]:
    """The agent's modules by name: whether each is a package, and its source."""
    found = {}
    for folder in map(Path, reconciler.agent.__path__):
        for file in sorted(folder.rglob("*.py")):
            steps = ("vdvs_agent", *file.relative_to(folder).with_suffix("").parts)
            is_package = steps[-1] == "__init__"
            found[".".join(steps[:-1] if is_package else steps)] = (is_package, file.read_text("ascii"))
    return found


def _program(first: str, modules: str) -> bytes:
    before = f"exec({first!r}, {{}})\n" if first else ""
    program = f"{before}{modules}{_LOADER}".encode("ascii")
    return b"%d\n" % len(program) + program
