"""From files, or objects, to Desired: manifests are read, checked against the schemas, and built. No network access."""

from reconciler.loader.files import LARGEST
from reconciler.loader.load import Loaded, load
from reconciler.loader.objects import Objects, load_objects, read_object
from reconciler.loader.stamps import Stamps, stamps

__all__ = ["LARGEST", "Loaded", "Objects", "Stamps", "load", "load_objects", "read_object", "stamps"]
