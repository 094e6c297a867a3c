"""The file that a driver is installed from: copied to a folder of our own while it is hashed, and installed from there.

Others can write the datastore that it lies on, and whoever answers for a URL decides what comes from there.
Source: docs/domain.md#driver-and-service
"""

import os
import posixpath

from .. import files, scratch
from ..compat import monotonic, native
from ..db import sqlite
from ..wire import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict  # novm

    from ..paths import Root

SOURCE_SECONDS = 60  # all hosts may be reading the same file
DOWNLOAD_SECONDS = 600
SILENCE_SECONDS = 30
LARGEST = 512 * 1024 * 1024  # bytes
_MOST_LINKS = 8


def fetch(root, action, place):
    # type: (Root, Dict[str, Any], scratch.Scratch) -> str
    """Return the host path of our copy of the source of `action`, with the right digest if one is given.

    Raises Refused `Checksum`, `Missing`, `Locked`, `TooLarge`, `DiskFull`; what is copied is removed with `place`.
    """
    source, wanted = action["source"], action.get("sha256")
    name = "driver.zip" if source.endswith(".zip") else "driver.vib"
    if "://" not in source:
        until = monotonic() + SOURCE_SECONDS
        digest = sqlite.retry_while_locked(until, lambda: _copied(root, source, place, name))
    elif not wanted:
        raise Refused("Checksum", "%s is not installed without its SHA-256: spec.driver.sha256 is missing" % source)
    else:
        digest = _downloaded(source, place, name)
    if wanted and digest != wanted.lower():
        raise Refused("Checksum", "%s has the SHA-256 %s, not %s" % (source, digest, wanted))
    return "%s/%s" % (place.path, name)


def _copied(root, source, place, name):
    # type: (Root, str, scratch.Scratch, str) -> str
    """Copy a file of the host, and return its SHA-256."""
    path = root.canonical(source)
    try:
        for _ in range(_MOST_LINKS):
            folder = root.hold(posixpath.dirname(path))
            target = None if folder is None else folder.target(posixpath.basename(path))
            if target is None:
                break
            path = root.canonical(posixpath.join(posixpath.dirname(path), target))
        if folder is None or folder.look(posixpath.basename(path)) is None:
            raise Refused("Missing", "%s cannot be read on the host: there is no such file" % source)
        return scratch.copy(folder, posixpath.basename(path), place.folder, name, LARGEST)[1]
    except EnvironmentError as error:
        place.folder.discard(name)
        reason = "Locked" if error.errno in files.BUSY else "Missing"
        raise Refused(reason, "%s cannot be read on the host: %s" % (source, error.strerror))


def _downloaded(url, place, name):
    # type: (str, scratch.Scratch, str) -> str
    """Download a URL to a file, and return its SHA-256, which is all that is relied on: no certificate is checked."""
    import hashlib  # see `rows.fingerprint`

    digest, size, until = hashlib.sha256(), 0, monotonic() + DOWNLOAD_SECONDS
    try:
        answer = _opened(url)
        with os.fdopen(place.folder.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL), "wb") as stream:
            for chunk in iter(lambda: answer.read(65536), b""):
                size += len(chunk)
                if size > LARGEST or monotonic() > until:
                    raise Refused("TooLarge", "%s is larger than %d bytes, or too slow" % (url, LARGEST))
                digest.update(chunk)
                stream.write(chunk)
    except Refused:
        raise
    except Exception as error:  # of many modules: HTTP, TLS, sockets
        reason = "DiskFull" if getattr(error, "errno", None) in files.FULL else "Missing"
        raise Refused(reason, "%s cannot be downloaded by the host: %s" % (url, error))
    return str(digest.hexdigest())


def _opened(url):
    # type: (str) -> Any
    import ssl

    try:
        from urllib.request import HTTPSHandler, ProxyHandler, build_opener  # novm
    except ImportError:
        from urllib2 import HTTPSHandler, ProxyHandler, build_opener  # type: ignore # Python 3 does not have it  # novm
    unchecked = ssl._create_unverified_context()  # noqa: S323 - the digest is checked
    return build_opener(ProxyHandler({}), HTTPSHandler(context=unchecked)).open(native(url), timeout=SILENCE_SECONDS)
