"""The algorithms of SSH that are offered: none with SHA-1 unless the Site names it, the quickest cipher first."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from asyncssh.encryption import get_default_encryption_algs, get_encryption_algs
from asyncssh.kex import get_default_kex_algs, get_kex_algs
from asyncssh.mac import get_default_mac_algs, get_mac_algs
from asyncssh.public_key import (
    get_certificate_algs,
    get_default_certificate_algs,
    get_default_public_key_algs,
    get_public_key_algs,
)

from reconciler.hosts.known_hosts import Trusted

_WEAK: Final = re.compile(r"sha1|md5|^ssh-rsa$|^ssh-rsa-cert-v01@|^ssh-dss|^gss-")


def algorithms(
    set_by_user: Mapping[str, tuple[str, ...]], legacy: Iterable[str], trusted: Trusted | None
) -> dict[str, Any]:
    """Return the options of asyncssh. `set_by_user`: lists of `~/.ssh/config`; `legacy`: weak ones that the Site names;
    `trusted`: what is known of the host (None: nothing is checked).

    The host may choose among all kinds of host keys, those that are known first, so that a wrong key is seen as one.
    """
    named = tuple(legacy)

    def chosen(option: str, usual: list[bytes], known: list[bytes], *first: str) -> list[str]:
        can = {name.decode() for name in known}
        wanted = set_by_user.get(option) or [name.decode() for name in usual]
        strong = [name for name in (*first, *wanted) if name in can and not _WEAK.search(name)]
        return list(dict.fromkeys((*strong, *(name for name in named if name in can))))

    ciphers = chosen("ciphers", get_default_encryption_algs(), get_encryption_algs())
    if "ciphers" not in set_by_user:  # one call of OpenSSL for a packet in AES-GCM, several for one in ChaCha20
        ciphers.sort(key=lambda name: "-gcm@" not in name)
    usual, can = get_default_public_key_algs(), get_public_key_algs()
    first: list[str] = []
    if trusted is None or trusted.authorities:
        usual, can = get_default_certificate_algs() + usual, get_certificate_algs() + can
        first += [name.decode() for name in get_default_certificate_algs()]
    if trusted is not None:
        first += [name.decode() for key in trusted.keys for name in key.sig_algorithms]
    return {
        "encryption_algs": ciphers,
        "mac_algs": chosen("macs", get_default_mac_algs(), get_mac_algs()),
        "kex_algs": chosen("kexalgorithms", get_default_kex_algs(), get_kex_algs()),
        "server_host_key_algs": chosen("hostkeyalgorithms", usual, can, *first),
        "signature_algs": chosen("", get_default_public_key_algs(), get_public_key_algs()),
    }
