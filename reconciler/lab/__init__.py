"""The embedded site: simulated ESXi hosts in a folder. Never touches anything outside that folder.

A lab has `site.yaml` and `inventory.json`, `hosts/NAME/` (each laid out as `/` of an ESXi host) and `datastores/ID/`
(the shared storage, mounted on a host as the relative link `vmfs/volumes/ID`). `site` says what is in it, `build` makes
it, `folder` finds and removes it, `boot` reboots a host, `vmfs` locks files between hosts.
"""

from reconciler.lab.boot import RebootReport, reboot, set_secure_boot
from reconciler.lab.build import create
from reconciler.lab.folder import destroy, exists, host_root, hosts, peculiarity
from reconciler.lab.site import VIB_FILE, VIB_SHA256, VIB_VERSION

__all__ = [
    "VIB_FILE",
    "VIB_SHA256",
    "VIB_VERSION",
    "RebootReport",
    "create",
    "destroy",
    "exists",
    "host_root",
    "hosts",
    "peculiarity",
    "reboot",
    "set_secure_boot",
]
