"""The command line: click commands, exit codes. No logic of its own."""

import time
from typing import Final

STARTED: Final = time.monotonic()  # when this process began, but for the start of Python
