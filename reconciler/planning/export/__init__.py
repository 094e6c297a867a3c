"""Export: manifests of what is there."""
