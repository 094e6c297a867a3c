"""A real vCenter simulator (vcsim of the govmomi project), spoken to over TLS, and what a test does to its objects."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pyVim.connect import Disconnect, SmartConnect
from pyVmomi import vim

ROOT = Path(__file__).parents[2]
VCSIM = shutil.which("vcsim", path=f"{ROOT / '.peers'}:{os.environ.get('PATH', '')}")
MISSING = [name for name, found in (("vcsim", VCSIM), ("openssl", shutil.which("openssl"))) if not found]
USER, PASSWORD = "reader", "secret-of-the-vcenter"
_PATIENCE = 60.0


class Simulator:
    """A vCenter on loopback with a certificate of its own."""

    def __init__(self, folder: Path, *size: str) -> None:
        self.folder = folder
        self.certificate, self._key = folder / "vc.pem", folder / "vc.key"
        self._size = size
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir()
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
             "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", self._key, "-out", self.certificate],
            check=True, capture_output=True,
        )  # fmt: skip
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]

    def start(self, patience: float = _PATIENCE) -> None:
        """Simulate, and wait until it does."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(VCSIM), "-l", f"127.0.0.1:{self.port}", "-tlscert", self.certificate, "-tlskey", self._key,
                 "-username", USER, "-password", PASSWORD, *self._size],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        until = time.monotonic() + patience
        while time.monotonic() < until and self._process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return
        raise RuntimeError(f"vcsim does not serve: {(self.folder / 'log').read_text()}")

    def stop(self) -> None:
        """End it, and everything that it knew."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(_PATIENCE)
            self._process = None

    @property
    def thumbprint(self) -> str:
        """SHA-256, as vCenter's pages spell it."""
        command = ["openssl", "x509", "-noout", "-fingerprint", "-sha256", "-in", str(self.certificate)]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip().partition("=")[2]

    @contextmanager
    def administrator(self) -> Iterator[Administrator]:
        """Somebody who changes things."""
        context = ssl.create_default_context(cafile=str(self.certificate))
        session = SmartConnect(host="127.0.0.1", port=self.port, user=USER, pwd=PASSWORD, sslContext=context)
        try:
            yield Administrator(session)
        finally:
            Disconnect(session)


def finish(task: Any) -> Any:
    """Wait for a task, and give its result. (pyVmomi's own waiting does not know every state of the simulator.)"""
    until = time.monotonic() + _PATIENCE
    while task.info.state not in ("success", "error"):
        if time.monotonic() > until:
            raise TimeoutError(str(task))
        time.sleep(0.01)
    if task.info.state == "error":
        raise task.info.error
    return task.info.result


class Administrator:
    """What can be done to the objects of a vCenter."""

    def __init__(self, session: Any) -> None:
        self.content = session.RetrieveContent()

    def all(self, kind: Any) -> list[Any]:
        """Every object of a kind, by name."""
        view = self.content.viewManager.CreateContainerView(self.content.rootFolder, [kind], True)
        try:
            return sorted(view.view, key=lambda one: str(one.name))
        finally:
            view.Destroy()

    def vm(self, name: str) -> Any:
        """The one VM of that name."""
        (found,) = (vm for vm in self.all(vim.VirtualMachine) if vm.name == name)
        return found

    def change(self, vm: Any, **settings: Any) -> None:
        """Reconfigure a VM."""
        finish(vm.Reconfigure(vim.vm.ConfigSpec(**settings)))

    def attach(self, vm: Any, file: str) -> None:
        """Attach a disk that is there or made now."""
        controller = next(d for d in vm.config.hardware.device if isinstance(d, vim.vm.device.VirtualSCSIController))
        disk = vim.vm.device.VirtualDisk(
            key=-1, controllerKey=controller.key, unitNumber=7, capacityInKB=1024,
            backing=vim.vm.device.VirtualDisk.FlatVer2BackingInfo(fileName=file, diskMode="persistent"),
        )  # fmt: skip
        add = vim.vm.device.VirtualDeviceSpec(operation="add", fileOperation="create", device=disk)
        self.change(vm, deviceChange=[add])

    def add_host(self, name: str) -> None:
        """One host more."""
        (datacenter,) = self.all(vim.Datacenter)
        spec = vim.host.ConnectSpec(hostName=name, userName="root", force=True)
        finish(datacenter.hostFolder.AddStandaloneHost(spec=spec, addConnected=True))

    def datastore(self, name: str, folder: Path) -> None:
        """A datastore on every host; its URL is the folder."""
        folder.mkdir(parents=True, exist_ok=True)
        for host in self.all(vim.HostSystem):
            host.configManager.datastoreSystem.CreateLocalDatastore(name=name, path=str(folder))
