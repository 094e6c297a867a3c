"""Which algorithms are offered to a host: quick ciphers first, none with SHA-1 unless the Site names it."""

from __future__ import annotations

import asyncssh
import pytest

from reconciler.hosts.known_hosts import Trusted
from reconciler.hosts.ssh_algorithms import algorithms

GCM = ["aes256-gcm@openssh.com", "aes128-gcm@openssh.com"]
NOBODY = Trusted((), (), (), (), ())
LEGACY = ("ssh-rsa", "diffie-hellman-group14-sha1", "diffie-hellman-group1-sha1", "hmac-sha1")


def names(offered: dict[str, list[str]]) -> list[str]:
    return [name for option in offered.values() for name in option]


def test_aes_gcm_is_offered_first_and_nothing_is_left_out() -> None:
    usual = asyncssh.SSHClientConnectionOptions(config=None).encryption_algs
    offered = algorithms({}, (), NOBODY)["encryption_algs"]
    assert offered[:2] == GCM
    assert sorted(offered) == sorted(name.decode() for name in usual)


def test_what_the_ssh_config_says_of_ciphers_holds() -> None:
    said = {"ciphers": ("chacha20-poly1305@openssh.com", "one-of-tomorrow", GCM[1])}
    assert algorithms(said, (), NOBODY)["encryption_algs"] == ["chacha20-poly1305@openssh.com", GCM[1]]


def test_no_sha_1_is_offered_whatever_the_ssh_config_says() -> None:
    said = {
        "kexalgorithms": ("diffie-hellman-group1-sha1", "curve25519-sha256"),
        "macs": ("hmac-sha1", "hmac-sha2-256"),
        "hostkeyalgorithms": ("ssh-rsa", "ssh-ed25519"),
    }
    for offered in (names(algorithms({}, (), NOBODY)), names(algorithms(said, (), None))):
        assert not [name for name in offered if "sha1" in name or "md5" in name or name in {"ssh-rsa", "ssh-dss"}]
    assert algorithms(said, (), NOBODY)["kex_algs"] == ["curve25519-sha256"]


def test_what_the_site_names_is_offered_last() -> None:
    offered = algorithms({}, LEGACY, NOBODY)
    assert offered["kex_algs"][-2:] == list(LEGACY[1:3])
    assert offered["mac_algs"][-1] == "hmac-sha1"
    assert offered["server_host_key_algs"][-1] == offered["signature_algs"][-1] == "ssh-rsa"


@pytest.mark.parametrize(("kind", "first"), [("ssh-rsa", "rsa-sha2-256"), ("ssh-ed25519", "ssh-ed25519")])
def test_the_known_kind_of_host_key_is_asked_for_first_and_all_others_after_it(kind: str, first: str) -> None:
    key = asyncssh.generate_private_key(kind).convert_to_public()
    offered = algorithms({}, (), Trusted((key,), (), (), (), ()))["server_host_key_algs"]
    assert offered[0] == first
    assert sorted(offered) == sorted(algorithms({}, (), NOBODY)["server_host_key_algs"])


def test_certificates_are_asked_for_where_an_authority_is_known() -> None:
    key = asyncssh.generate_private_key("ssh-ed25519").convert_to_public()
    assert not [name for name in names(algorithms({}, (), NOBODY)) if "-cert-" in name]
    known = algorithms({}, (), Trusted((), (key,), (), (), ()))["server_host_key_algs"]
    assert "-cert-" in known[0]
    assert "ssh-ed25519" in known
