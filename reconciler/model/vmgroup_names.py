"""Which names of vmgroups vDVS itself takes for something else."""

from __future__ import annotations

import re
from typing import Final

from reconciler.model.constants import ALL_DS, DB_FILE, VM_DS

LONGEST_NAME: Final = 64
_UUID_SHAPED: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_DB_FILE_NAME: Final = DB_FILE.rpartition("/")[2]
_MISREAD: Final = {
    "policies": "dockvols/policies is where vDVS keeps storage policies",
    "_ORPHAN": "vDVS shows volumes of no known vmgroup under it",
    VM_DS: "it means a datastore to vDVS",
    ALL_DS: "it means every datastore to vDVS",
}


def why_not(name: str) -> str | None:
    """Why a vmgroup cannot be called so, or None."""
    if _UUID_SHAPED.fullmatch(name):
        return "vDVS would take it for the folder of the vmgroup with this UUID"
    if name.startswith(_DB_FILE_NAME):
        return "it is the name of the file of the config DB"
    if len(name) > LONGEST_NAME:
        return f"it has {len(name)} characters; at most {LONGEST_NAME} are allowed"
    return _MISREAD.get(name)
