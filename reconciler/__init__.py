"""vdvs: declarative configuration of the vSphere Docker Volume Service."""

__version__ = "0.1.0"
