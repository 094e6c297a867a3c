"""Export: manifests of existing objects."""
