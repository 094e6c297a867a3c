"""The git checkout that manifests are in, read as data.

No program runs because of what is in a repository: its configuration is never in force, for whoever may push can write
it or lead to it. HEAD and refs are read here, objects by a `git cat-file` that sees the repository's objects and
nothing else of it. So it does not matter who owns the checkout, and nothing is ever fetched.
"""

from reconciler.checkout.compare import Commit
from reconciler.checkout.repository import Repository, UnreadableRepositoryError, find
from reconciler.checkout.signature import BadSignatureError, verify

__all__ = ["BadSignatureError", "Commit", "Repository", "UnreadableRepositoryError", "find", "verify"]
