"""Measuring how long something takes."""

import time

monotonic = getattr(time, "monotonic", time.time)  # Python 2 has only the time of day
