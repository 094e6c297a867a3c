"""A lab and what can be done on its hosts, with a folder around it whose state shows that nothing escaped."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from reconciler import lab
from reconciler.agent.local_sh import section_text

SHARED = "582b1324-e49d9a0e-9bc3-000c29c1501d"
VIB_PATH = f"/vmfs/volumes/SHARED-Datastore/{lab.VIB_FILE}"
AUTH_DB = "etc/vmware/vmdkops/auth-db"
# As the original tool has it: a name that nobody quoted, and only where the folder exists already.
ORIGINAL = """\
# -- vSphere Docker Volume Service configuration --
datastore=SHARED-Datastore
slink=/etc/vmware/vmdkops/auth-db
shared_db=/vmfs/volumes/$datastore/dockvols/vmdkops_config.db
if [ -d $(dirname $slink) ] && [ ! -e $slink ]
then ln -s $shared_db $slink
fi
# -- vSphere Docker Volume Service configuration --
"""
OURS = section_text(SHARED)


@dataclass(frozen=True)
class Host:
    """A host of a lab, and the environment in which its programs run."""

    directory: Path
    name: str
    environment: dict[str, str] = field(default_factory=lambda: {"PATH": os.environ["PATH"]})
    shell: tuple[str, ...] = ()

    @property
    def root(self) -> Path:
        return lab.host_root(self.directory, self.name)

    def run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a program of the host by itself, or by another shell."""
        words = [*self.shell, str(self.root / program), *arguments]
        return subprocess.run(words, capture_output=True, text=True, env=self.environment, check=False, timeout=60)

    def esxcli(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.run("bin/esxcli", *arguments)

    def install(self) -> None:
        done = self.esxcli("software", "vib", "install", "-v", VIB_PATH)
        assert done.returncode == 0, done.stderr

    def service(self, verb: str) -> tuple[int, str]:
        done = self.run("etc/init.d/vmdk-opsd", verb)
        return done.returncode, done.stdout

    def write_local_sh(self, text: str, *, saved: bool = True) -> None:
        """Change local.sh in place, as an editor on ESXi does."""
        (self.root / "etc/rc.local.d/local.sh").write_text(text)
        if saved:
            assert self.run("sbin/auto-backup.sh").returncode == 0

    def reboot(self, *, local_sh_first: bool = False) -> lab.RebootReport:
        return lab.reboot(self.directory, self.name, local_sh_first=local_sh_first)

    def link(self) -> str | None:
        """The target of the host's link to the config DB."""
        place = self.root / AUTH_DB
        return os.readlink(place) if place.is_symlink() else None


def tree(folder: Path) -> dict[str, tuple[int, bytes | str]]:
    """Everything in a folder: mode, and content or what a link says."""
    found: dict[str, tuple[int, bytes | str]] = {}
    for path in sorted(folder.rglob("*")):
        name, mode = str(path.relative_to(folder)), path.lstat().st_mode
        if path.is_symlink():
            found[name] = (mode, str(path.readlink()))
        else:
            found[name] = (mode, path.read_bytes() if path.is_file() else "")
    return found
