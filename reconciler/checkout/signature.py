"""Signed commits: the SSH signature in a commit object, checked by ssh-keygen against a file of allowed signers.

Neither git nor the repository's configuration has a say. A signature says who made a commit; not that it is the newest.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

_NAMESPACE: Final = "git"
_HEADER: Final = b"gpgsig"
_ARMOR: Final = b"-----BEGIN SSH SIGNATURE-----\n"
_LARGEST: Final = 65536
_MOST_PRINCIPALS: Final = 20
_TIMEOUT: Final = 10.0


class BadSignatureError(Exception):
    """A commit that none of the allowed signers has signed. `str()` says why."""


def verify(raw: bytes, signers: Path) -> str:
    """Return who signed the commit object `raw`: a principal in the file `signers`. Raises BadSignatureError.

    A key must be valid now, whatever date the commit states.
    """
    payload, signature = _parted(raw)
    with tempfile.TemporaryDirectory(prefix="vdvs-signature-") as folder:
        file = Path(folder, "signature")
        file.write_bytes(signature)
        known = ["-f", str(signers), "-s", str(file)]
        _, principals = _keygen(["-Y", "find-principals", *known], b"")
        for principal in principals.splitlines()[:_MOST_PRINCIPALS]:
            code, _ = _keygen(["-Y", "verify", "-n", _NAMESPACE, "-I", principal, *known], payload)
            if code == 0:
                return principal
    raise BadSignatureError(f"its signature is not by a key that {signers} allows for commits now, or does not fit it")


def _parted(raw: bytes) -> tuple[bytes, bytes]:
    """Return what was signed, and the signature. Raises BadSignatureError."""
    head, blank, message = raw.partition(b"\n\n")
    kept: list[bytes] = []
    signature: list[bytes] = []
    inside = False
    for line in head.split(b"\n"):
        if line.startswith(b" ") and inside:
            signature.append(line[1:])
            continue
        name, _, value = line.partition(b" ")
        inside = name == _HEADER
        if (inside and signature) or (name.startswith(_HEADER) and not inside):
            raise BadSignatureError("it has more than one signature")
        (signature if inside else kept).append(value if inside else line)
    armored = b"\n".join(signature) + b"\n"
    if not signature:
        raise BadSignatureError("it is not signed")
    if not armored.startswith(_ARMOR):
        raise BadSignatureError("it is not signed by an SSH key, the only signatures that are checked")
    if len(armored) > _LARGEST:
        raise BadSignatureError("its signature is too large")
    return b"\n".join(kept) + blank + message, armored


def _keygen(words: list[str], given: bytes) -> tuple[int, str]:
    program = shutil.which("ssh-keygen")
    if program is None or not os.path.isabs(program):
        raise BadSignatureError("ssh-keygen, which checks signatures, is not installed")
    try:
        done = subprocess.run(  # noqa: S603 - ssh-keygen, with fixed arguments
            [program, *words], input=given, capture_output=True, timeout=_TIMEOUT, check=False,
            env={"PATH": os.defpath, "LC_ALL": "C"}, cwd="/",
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BadSignatureError(f"ssh-keygen cannot check it: {error}") from error
    return done.returncode, done.stdout.decode(errors="replace")
