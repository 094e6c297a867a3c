"""Actions: the steps that the agent (or vCenter) can carry out. Each has its object and its risk."""

from __future__ import annotations

from reconciler.model.kinds import FileAction
from reconciler.model.kinds.configdb import DeleteRow, MoveDB, RecoverDB, UpgradeDB
from reconciler.model.kinds.host import HostAction, MaintenanceAction
from reconciler.model.kinds.vmgroup import (
    AddMember,
    CreateVMGroup,
    DeleteVMGroup,
    LinkAction,
    MoveMember,
    NameMember,
    RemoveAccess,
    RemoveMember,
    RenameVMGroup,
    SetAccess,
    UpdateVMGroup,
)
from reconciler.model.ownership import ForgetObject, RecordObject

DBAction = (
    CreateVMGroup
    | UpdateVMGroup
    | RenameVMGroup
    | SetAccess
    | RemoveAccess
    | AddMember
    | MoveMember
    | NameMember
    | RemoveMember
    | DeleteVMGroup
    | RecordObject
    | ForgetObject
    | DeleteRow
    | UpgradeDB
)


Action = DBAction | LinkAction | FileAction | HostAction | MaintenanceAction | RecoverDB | MoveDB
