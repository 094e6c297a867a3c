"""Files -> Manifests -> checked against the schemas -> Desired. Never touches the network."""

from reconciler.loader.files import LARGEST
from reconciler.loader.load import Loaded, load
from reconciler.loader.stamps import Stamps, stamps

__all__ = ["LARGEST", "Loaded", "Stamps", "load", "stamps"]
