"""The operator: manifests on a Kubernetes API, reconciled as those in files are."""
