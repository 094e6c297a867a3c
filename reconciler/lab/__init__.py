"""The embedded site: simulated ESXi hosts in a folder. Nothing outside that folder is touched.

A lab has `site.yaml` and `inventory.json`, `hosts/NAME/` (each laid out as `/` of an ESXi host) and `datastores/ID/`
(the shared storage, mounted on a host as the relative link `vmfs/volumes/ID`). `site` describes it, `build` makes it,
`folder` finds and removes it, `boot` reboots a host, `vmfs` locks files between hosts.
"""

from reconciler.lab.boot import RebootReport, reboot, set_secure_boot
from reconciler.lab.build import create
from reconciler.lab.folder import destroy, exists, host_root, hosts, os_patch
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
    "os_patch",
    "reboot",
    "set_secure_boot",
]
