"""The role for vCenter in deploy/: a vCenter takes it, and it allows what vdvs calls and nothing more."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pyVmomi import vim

from tests.peers.vcsim import Simulator

ROOT = Path(__file__).parents[2]
ROLE = yaml.safe_load((ROOT / "deploy" / "vcenter-role.yaml").read_text(encoding="utf-8"))
PARTS = {part: {one["id"] for one in entries} for part, entries in ROLE.items() if part != "role"}
CALLS: dict[str, dict[str, Any]] = {
    "maintenance.py": {"EnterMaintenanceMode_Task": vim.HostSystem, "ExitMaintenanceMode_Task": vim.HostSystem},
    "ssh_service.py": {"StartService": vim.host.ServiceSystem, "StopService": vim.host.ServiceSystem},
    "vcenter.py": {"AddCustomFieldDef": vim.CustomFieldsManager, "SetField": vim.CustomFieldsManager},
}
"""What changes something in vCenter, by the module that calls it."""
READING = {
    *("Login", "Logout", "DropConnections", "RetrieveContent", "CreateContainerView", "CreatePropertyCollector"),
    *("CreateFilter", "WaitForUpdatesEx"),
}


def needed(module: str) -> set[str]:
    """The privileges that the API itself demands for the calls of this module. (It names none for SetField.)"""
    found = set()
    for name, kind in CALLS[module].items():
        (info,) = {id(one): one for one in kind._methodInfo.values() if one.wsdlName == name}.values()
        found.add(info.privId or "Global.SetCustomField")
    return found


@pytest.mark.parametrize("module", CALLS)
def test_every_call_that_changes_something_is_known_here(module: str) -> None:
    text = (ROOT / "reconciler" / "inventory" / module).read_text(encoding="utf-8")
    types = r"\b(?:vim|vmodl|_Collector|ssl|threading)\.[\w.]*\("
    called = set(re.findall(r"\.([A-Z]\w*)\(", re.sub(types, "", text)))
    assert called <= {*CALLS[module], *READING}
    assert set(CALLS[module]) <= called


def test_the_parts_allow_just_what_is_called() -> None:
    noting = needed("vcenter.py")
    assert PARTS["maintenanceMode"] == needed("maintenance.py") | noting
    assert PARTS["sshService"] == needed("ssh_service.py") | noting
    assert PARTS["read"] == {"System.Anonymous", "System.View", "System.Read"}
    assert all(one["for"] for part in PARTS for one in ROLE[part])


def test_a_vcenter_takes_it(vcenter: Simulator) -> None:
    wanted = set().union(*PARTS.values())
    with vcenter.administrator() as admin:
        roles = admin.content.authorizationManager
        (everything,) = (set(one.privilege) for one in roles.roleList if one.name == "Admin")
        assert wanted <= everything
        made = roles.AddAuthorizationRole(name=ROLE["role"], privIds=sorted(wanted))
        (role,) = (one for one in roles.roleList if one.roleId == made)
        assert role.name == ROLE["role"]
        assert set(role.privilege) == wanted
        permission = vim.AuthorizationManager.Permission(principal="vdvs", group=False, roleId=made, propagate=True)
        roles.SetEntityPermissions(entity=admin.content.rootFolder, permission=[permission])
        (found,) = (one for one in roles.RetrieveAllPermissions() if one.principal == "vdvs")
        assert (found.roleId, found.propagate) == (made, True)
