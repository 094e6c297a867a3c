"""Files -> Manifests -> checked against the schemas -> Desired. Never touches the network."""

from reconciler.loader.load import Loaded, load

__all__ = ["Loaded", "load"]
