"""Which ciphers are offered to a host: the quick ones first, unless the SSH config says which."""

from __future__ import annotations

from pathlib import Path

import asyncssh
import pytest

from reconciler.hosts.ssh import with_quick_ciphers

GCM = [b"aes256-gcm@openssh.com", b"aes128-gcm@openssh.com"]


def offered(config: Path) -> list[bytes]:
    options = with_quick_ciphers(asyncssh.SSHClientConnectionOptions(config=[str(config)], host="esx1"))
    return list(asyncssh.SSHClientConnectionOptions(options).encryption_algs)  # as a connection makes them


@pytest.mark.parametrize("text", ["", "Host other\n  Ciphers aes128-ctr\n"])
def test_aes_gcm_is_offered_first_and_nothing_is_left_out(tmp_path: Path, text: str) -> None:
    config = tmp_path / "config"
    config.write_text(text)
    usual = asyncssh.SSHClientConnectionOptions(config=None).encryption_algs
    assert offered(config)[:2] == GCM
    assert sorted(offered(config)) == sorted(usual)


def test_what_the_ssh_config_says_of_ciphers_holds(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("Host esx1\n  Ciphers chacha20-poly1305@openssh.com,aes128-gcm@openssh.com\n")
    assert offered(config) == [b"chacha20-poly1305@openssh.com", GCM[1]]
