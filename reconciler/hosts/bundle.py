"""The agent as one stream of bytes: how its modules get into the host's Python without leaving a file behind."""

from __future__ import annotations

import marshal
import zlib
from functools import cache
from importlib.abc import InspectLoader
from importlib.util import find_spec
from pkgutil import get_data
from types import CodeType

from reconciler.agent import MODULES

# Runs on the host with `python -c`: reads the length of the bundle, then the bundle, and executes it. `i` and `o` are
# the binary streams, which the bundle goes on using. No quote that a shell would care about.
BOOTSTRAP = (
    "import sys;i=getattr(sys.stdin,'buffer',sys.stdin);o=getattr(sys.stdout,'buffer',sys.stdout);"
    "exec(i.read(int(i.readline())))"
)

_LOADER = """
sys.path[:] = [folder for folder in sys.path if folder]
import types
class Module(types.ModuleType):
    def __getattr__(self, wanted):
        if self.__name__ not in codes:
            raise AttributeError(wanted)
        load(self)
        return getattr(self, wanted)
def load(module):
    code = codes.pop(module.__name__, None)
    if code is not None:
        exec(compiled(module.__name__[11:], code), module.__dict__)
package = types.ModuleType("vdvs_agent")
package.__path__ = []
sys.modules["vdvs_agent"] = package
codes = {}
for name, code in modules:
    module = Module("vdvs_agent." + name)
    module.__package__ = "vdvs_agent"
    codes[module.__name__] = code
    sys.modules[module.__name__] = module
    setattr(package, name, module)
for name, _ in modules if at_once else ():
    load(getattr(package, name))
package.main.main(sys.argv[1] if len(sys.argv) > 1 else "/", i, o)
import os
os._exit(0)  # all is said: what is left in memory need not be taken apart
"""
_COMPILE = """
import zlib
at_once = False  # a module is compiled when something of it is first used: no agent needs all of them
exec(zlib.decompress(i.read({length})))
def compiled(name, source):
    return compile(source, "vdvs_agent/" + name + ".py", "exec", 0, True)
"""
_UNPACK = """
import marshal
at_once = True
modules = marshal.loads(i.read({length}))
def compiled(name, code):
    return code
"""


@cache
def bundle(first: str = "") -> bytes:
    """What is written to the interpreter started with `BOOTSTRAP`: a line with the length, the program, and its
    modules, packed: to forty hosts at once the way is long. `first`: another program that is run before, in a namespace
    of its own."""
    # (importlib.resources would do the same, and takes longer to import than all of this.)
    modules = [(name, (get_data("reconciler.agent", f"{name}.py") or b"").decode("ascii")) for name in MODULES]
    packed = zlib.compress(f"modules = {modules!r}".encode("ascii"), 9)
    return _program(first, _COMPILE.format(length=len(packed))) + packed


@cache
def bundle_for_this_python(first: str = "") -> bytes:
    """The same for an interpreter that is the one which runs this. Its modules are compiled already, which is most of
    what an agent does before it says hello; they follow the program."""
    modules = marshal.dumps([(name, _code(name)) for name in MODULES])
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
