"""Where manifests come from and who applies them: the set, the user, the git commit, the reason.

Outside a checkout there is no commit and no set.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct
from msgspec.structs import replace

from reconciler import checkout
from reconciler.loader.files import Seen, UnreadableError, decode
from reconciler.loader.manifests import digests
from reconciler.model.errors import UsageError
from reconciler.model.ownership import Applying, Expected, Stamp, UsedCommit
from reconciler.who import who

_LONGEST_SET: Final = 200
_LONGEST_REASON: Final = 1000
_MOST_DIFFERENCES: Final = 1000
_LIKE_SCP: Final = re.compile(r"((?:[^/:\[\]]*@)?\[[^/\]]+\]|[^/:\[\]]+):(?!//)(.*)", re.DOTALL)
_PORT: Final = re.compile(r"^([^:]*):\d+$")
_OLD_AZURE: Final = ".visualstudio.com"
_AZURE: Final = ("dev.azure.com", _OLD_AZURE)
_NO_PART_OF_IT: Final = ("_git", "_ssh", "_full", "_optimized", "DefaultCollection")  # in addresses of Azure
_CASELESS: Final = ("github.com", "gitlab.com", "bitbucket.org", *_AZURE)  # to them, Acme/Site is acme/site


class Checkout(Struct, frozen=True):
    """A folder in git. `repository`: its name, the same in every clone; `below`: the folder below the top (`""`: it is
    the top); `commit`: in full, or None if there is none yet."""

    repository: str
    below: str
    commit: str | None
    git: checkout.Repository


class UnsignedError(UsageError):
    """Manifests that no allowed signer has signed as they are, or has replaced since. Whoever pushes causes it."""


def applying(
    paths: Sequence[str],
    seen: Seen,
    *,
    selector: str | None = None,
    named: str | None = None,
    prune: bool = False,
    reason: str | None = None,
    signers: str | None = None,
    after: UsedCommit | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Applying:
    """Return who applies these manifests, from which set and commit, and why.

    `seen`: what was read from `paths`; `signers`: a file of allowed signers, one of which must have signed the commit
    of everything that was read; `after`: a commit that must be behind that one; `tell` is called with what could not be
    read of a repository. Raises UsageError for a set that cannot be pruned, and for a name or a reason that cannot be
    recorded; UnsignedError for manifests without such a signature, or of an older commit.
    """
    name, why = _one_line("--set", named, _LONGEST_SET), _one_line("--reason", reason, _LONGEST_REASON)
    if prune:
        _check_prune(paths, selector, named)
    checkouts, trouble = _checkouts(paths)
    if signers is not None:
        _check_apart(signers, checkouts, seen.site)
    found = _as_set(paths, checkouts, name)
    if prune and not found:
        why_not = trouble or f"{', '.join(paths)} is not in a git repository"
        raise UsageError(f"--prune needs --set NAME here: {why_not}, so sets of manifests cannot be told apart")
    first = next(iter(checkouts), None)
    stamp = Stamp(who(), why)
    differences: list[str] = []
    if first is not None and first.commit is not None and not trouble:
        try:
            differences = _compared(first, seen, None if signers is None else Path(signers).resolve(), after)
        except checkout.BadSignatureError as error:
            raise UnsignedError(f"--require-signature: commit {first.commit[:12]}: {error}") from error
        except checkout.UnreadableRepositoryError as error:
            differences = [trouble := f"the repository {first.git.top} cannot be read: {error}"]
        stamp = replace(stamp, commit=first.commit, dirty=bool(differences))
    if signers is not None:
        if stamp.commit is None or trouble:
            why_not = trouble or "the manifests are not in a commit of git"
            raise (UsageError if stamp.commit is None else UnsignedError)(f"--require-signature: {why_not}")
        if differences:
            raise UnsignedError(f"--require-signature: {differences[0]}: only what is in the signed commit is applied")
    untold = [trouble] if trouble else [each for each in differences if "cannot be compared" in each]
    if untold:
        tell(f"{untold[0]}; so whether the manifests are those of a commit is not known")
    return Applying(found, stamp, _is_whole(paths, selector, named), prune)


def expected(paths: Sequence[str], commit: str, tell: Callable[[str], None]) -> Expected:
    """Return what is expected to be applied: the manifests at `paths` as this commit has them.

    `tell` is called with why they are not known: then only the commit that an object was recorded with counts.
    """
    found: set[str] = set()
    trouble = ""
    for path in paths:
        real = Path(path).resolve()
        try:
            place = _checkout(_folder(real)) if path != "-" else None
            if place is None:
                raise checkout.UnreadableRepositoryError(f"{path} is not in a git repository")
            with checkout.Commit(place.git, commit) as at:
                contents = at.manifests(str(real))
            found.update(digest for content in contents for digest in digests(decode(content)))
        except (checkout.UnreadableRepositoryError, UnreadableError) as error:
            trouble = trouble or f"{path}: {error}"
    if trouble:
        tell(f"--expect: {trouble}; so only objects that were recorded with that commit count as of it")
    return Expected(commit, frozenset(found))


def check_apart(paths: Sequence[str], signers: str, site: str | None) -> None:
    """Raise UsageError unless the files of the operator are where no push of manifests to `paths` writes."""
    _check_apart(signers, _checkouts(paths)[0], site)


def _check_apart(signers: str, checkouts: Sequence[Checkout | None], site: str | None) -> None:
    tops = {place.git.top for place in checkouts if place is not None}
    if not Path(signers).is_file():
        raise UsageError(f"--require-signature {signers}: there is no such file")
    for option, file in (("--require-signature", signers), ("--site", site)):
        # Every folder on the way counts: one that is a link in the repository is led elsewhere by the next push.
        way = Path(file or "/").absolute()  # none: nothing of it is in a repository
        if any(each.resolve().is_relative_to(top) for each in (way, *way.parents) for top in tops):
            raise UsageError(
                f"{option} {file}: it is in the repository whose commits are to be signed; keep it where no push writes"
            )


def reading(paths: Sequence[str], selector: str | None = None, named: str | None = None) -> Applying:
    """Return the same for a command that only reads: without a user and a commit. Raises UsageError."""
    of = _as_set(paths, _checkouts(paths)[0], _one_line("--set", named, _LONGEST_SET))
    return Applying(of, Stamp(""), _is_whole(paths, selector, named))


def _checkouts(paths: Sequence[str]) -> tuple[list[Checkout | None], str]:
    """Return where each path is in git, and what could not be read of a repository (empty: nothing)."""
    found: list[Checkout | None] = []
    trouble = ""
    for path in paths:
        if path == "-":
            continue
        folder = _folder(Path(path).resolve())
        try:
            found.append(_checkout(folder))
        except checkout.UnreadableRepositoryError as error:
            found.append(None)
            trouble = trouble or f"the repository of {folder} cannot be read: {error}"
    return found, trouble


def _folder(path: Path) -> Path:
    return path if path.is_dir() else path.parent


def _as_set(paths: Sequence[str], checkouts: Sequence[Checkout | None], name: str) -> str:
    """Return the name of the set, `acme/site:manifests` for a folder in a repository. Only whole folders have one."""
    if name or not all(path != "-" and Path(path).is_dir() for path in paths):
        return name
    names = {f"{each.repository}:{each.below}".rstrip(":") for each in checkouts if each is not None}
    return "" if None in checkouts else " + ".join(sorted(names))[:_LONGEST_SET]


def _is_whole(paths: Sequence[str], selector: str | None, named: str | None) -> bool:
    """Return whether these may be all manifests of the set."""
    return not selector and all(Path(path).is_dir() if path != "-" else bool(named) for path in paths)


def _check_prune(paths: Sequence[str], selector: str | None, named: str | None) -> None:
    if selector:
        raise UsageError(
            "--prune goes without -l: objects that -l leaves out would look as if they were no longer declared"
        )
    if "-" in paths and not named:
        raise UsageError(
            "--prune with standard input needs --set NAME: without a name it is unknown what was applied before"
        )
    single = [path for path in paths if path != "-" and not Path(path).is_dir()]
    if single:
        raise UsageError(
            f"--prune takes whole folders, and {', '.join(single)} is a single file: what is declared in "
            "others would be removed; give their folder with -f"
        )


def _one_line(option: str, text: str | None, longest: int) -> str:
    if text is None:
        return ""
    if not text.strip() or len(text) > longest or not text.isprintable():
        raise UsageError(f"{option}: give one line of text of at most {longest} characters, without control characters")
    return text.strip()


def _checkout(folder: Path) -> Checkout | None:
    """Return where this folder is in git; None: not in git. Raises UnreadableRepositoryError."""
    found = checkout.find(folder)
    if found is None:
        return None
    below = folder.relative_to(found.top).as_posix()
    return Checkout(_repository(found.remote) or found.top.name, "" if below == "." else below, found.head, found)


def _compared(place: Checkout, seen: Seen, signers: Path | None, after: UsedCommit | None) -> list[str]:
    """Return how what was read differs from the commit. Raises UnreadableRepositoryError and BadSignatureError."""
    if place.commit is None:
        return []
    with checkout.Commit(place.git, place.commit) as commit:
        if signers is not None:
            checkout.verify(commit.raw, signers)
        if after is not None and not commit.follows(after.commit):
            raise checkout.BadSignatureError(
                f"it is signed, but {after.commit[:12]}, which was in force before, is not behind it: it may be an"
                f" older one, brought back by somebody who cannot sign; if it is meant, {after.way_out}"
            )
        return list(islice(commit.differences(seen), _MOST_DIFFERENCES))


def _repository(url: str) -> str:
    """Return the name of a repository, `acme/site`, without the protocol, host, port and credentials of its URL.

    It is the same for all addresses of a repository: Bitbucket's begin with `scm` by https only; Azure's contain `_git`
    by https, and begin with `v3` by SSH, or contain `_ssh` and have the organization for the user; letters of any case
    are the same to hosters that are known to take them so.
    """
    host = user = ""
    if "://" in url:
        try:
            parts = urlsplit(url)
        except ValueError:
            return ""
        path, remote, host, user = parts.path, parts.scheme != "file", parts.hostname or "", parts.username or ""
    elif scp := _LIKE_SCP.fullmatch(url):
        host = scp[1].replace("[", "").replace("]", "").rpartition("@")[2].lower()
        path, remote, host = scp[2], True, _PORT.sub(r"\1", host)
    else:
        path, remote = url, False
    path = path.strip("/").removesuffix(".git").rstrip("/")
    if not remote:
        return path.rpartition("/")[2]
    names = [part for part in path.split("/") if part]
    if url.startswith("http") and names[:1] == ["scm"] and len(names) == 3:
        names = names[1:]
    if host.endswith(_AZURE):
        by_user, apart = "_ssh" in names, host.startswith(("vs-ssh.", "ssh."))
        names = [part for part in names[names[:1] == ["v3"] :] if part not in _NO_PART_OF_IT]
        if host.endswith(_OLD_AZURE) and (by_user or not apart):
            names.insert(0, user if by_user else host.partition(".")[0])
        if len(names) == 2:  # the repository that is called like its project
            names.append(names[1])
    name = "/".join(names)
    return name.lower() if host.endswith(_CASELESS) else name
