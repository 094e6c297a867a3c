"""The agent as one stream of bytes: how its modules get into the host's Python without leaving a file behind."""

from __future__ import annotations

import marshal
import sys
import zlib
from functools import cache
from importlib.abc import InspectLoader
from importlib.util import find_spec
from pkgutil import get_data
from types import CodeType
from typing import TYPE_CHECKING

from reconciler.agent import MODULES

if TYPE_CHECKING:
    from reconciler.hosts.conversation import Channel

# Runs on the host with `python -c`: says which Python it is, reads the length of the bundle, then the bundle, and
# executes it. `i` and `o` are the binary streams, which the bundle goes on using. No quote that a shell cares about.
BOOTSTRAP = (
    "import sys;i=getattr(sys.stdin,'buffer',sys.stdin);o=getattr(sys.stdout,'buffer',sys.stdout);"
    "o.write((' '.join(sys.version.split())+chr(10)).encode());o.flush();"
    "exec(i.read(int(i.readline())))"
)

_LOADER = """
sys.path[:] = [folder for folder in sys.path if folder]
class Module(type(sys)):
    def __getattr__(self, wanted):
        if self.__name__ not in codes:
            raise AttributeError(wanted)
        load(self)
        return getattr(self, wanted)
def load(module):
    code = codes.pop(module.__name__, None)
    if code is not None:
        exec(compiled(module.__name__[11:], code), module.__dict__)
package = type(sys)("vdvs_agent")
package.__path__ = []
sys.modules["vdvs_agent"] = package
codes = {}
for name, code in modules:
    module = Module("vdvs_agent." + name)
    module.__package__ = "vdvs_agent"
    codes[module.__name__] = code
    sys.modules[module.__name__] = module
    setattr(package, name, module)
package.main.main(sys.argv[1] if len(sys.argv) > 1 else "/", i, o)
import os
os._exit(0)  # all is said: what is left in memory need not be taken apart
"""
# A module is compiled, or its code is read, when something of it is first used: no agent needs all of them.
_COMPILE = """
import zlib
exec(zlib.decompress(i.read({length})))
def compiled(name, source):
    return compile(source, "vdvs_agent/" + name + ".py", "exec", 0, True)
"""
_UNPACK = """
import marshal
modules = marshal.loads(i.read({length}))
def compiled(name, code):
    return marshal.loads(code)
"""


async def ship(channel: Channel, first: str = "") -> None:
    """Send the agent to an interpreter that was started with `BOOTSTRAP`. `first`: another program that is run before,
    in a namespace of its own. Raises HostUnreachableError."""
    python = await channel.receive()
    await channel.send(bundle_for(python.decode(errors="replace").strip(), first))


def bundle_for(python: str, first: str = "") -> bytes:
    """What is written to an interpreter that says it is this one: a line with the length, the program, and its modules.
    For the Python that runs this they are compiled already: compiling takes an agent longer than looking. For any other
    they are sent as they stand, packed, as to forty hosts at once the way is long."""
    return _compiled(first) if python == " ".join(sys.version.split()) else _packed(first)


@cache
def _packed(first: str) -> bytes:
    # (importlib.resources would do the same, and takes longer to import than all of this.)
    modules = [(name, (get_data("reconciler.agent", f"{name}.py") or b"").decode("ascii")) for name in MODULES]
    packed = zlib.compress(f"modules = {modules!r}".encode("ascii"), 9)
    return _program(first, _COMPILE.format(length=len(packed))) + packed


@cache
def _compiled(first: str) -> bytes:
    modules = marshal.dumps([(name, marshal.dumps(_code(name))) for name in MODULES])
    return _program(first, _UNPACK.format(length=len(modules))) + modules


def _code(name: str) -> CodeType:
    loader = getattr(find_spec(f"reconciler.agent.{name}"), "loader", None)
    code = loader.get_code(f"reconciler.agent.{name}") if isinstance(loader, InspectLoader) else None
    if code is None:
        raise ImportError(f"the agent's module {name} cannot be found")
    return code


def _program(first: str, modules: str) -> bytes:
    before = f"exec({first!r}, {{}})\n" if first else ""
    program = f"{before}{modules}{_LOADER}".encode("ascii")
    return b"%d\n" % len(program) + program
