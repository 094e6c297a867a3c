"""Values that vDVS itself fixes (docs/domain.md says where they come from)."""

DEFAULT_VMGROUP = "_DEFAULT"
DEFAULT_VMGROUP_UUID = "11111111-1111-1111-1111-111111111111"
DEFAULT_VMGROUP_DESCRIPTION = "This is a default vmgroup"
VM_DS = "_VM_DS"
VM_DS_URL = "_VM_DS://"
ALL_DS = "_ALL_DS"
ALL_DS_URL = "_ALL_DS://"
OLD_DEFAULT_URL = "_DEFAULT_URL"  # of _DEFAULT, up to vDVS 0.13: what everybody may do where no row says more
SPECIAL_DATASTORES = {VM_DS: VM_DS_URL, ALL_DS: ALL_DS_URL}
VOLUMES = "/vmfs/volumes/"
DB_FILE = "dockvols/vmdkops_config.db"
AUTH_DB = "/etc/vmware/vmdkops/auth-db"
