"""Files -> Manifests -> checked against the schemas -> Desired. Never touches the network."""
