"""The effect of a difference on rights, and whether the site or the manifest changed."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from reconciler.model.diff import Cause, Change, Effect, Op, Standing
from reconciler.model.kinds.host import DBMode, Service
from reconciler.model.refs import Kind, ObjectRef
from tests.e2e.conftest import LabSite  # noqa: F401
