"""Files -> Manifests -> checked against the schemas -> Desired. Never touches the network."""

from reconciler.loader.files import LARGEST
from reconciler.loader.load import Loaded, load

__all__ = ["LARGEST", "Loaded", "load"]
