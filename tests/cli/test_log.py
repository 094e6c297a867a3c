"""The log of -v and -vv: what it shows, and what nobody may see in it."""

from __future__ import annotations

import logging
import re

import pytest

from reconciler.cli.underway import log
from reconciler.model.kinds.site import SecretFrom
from reconciler.wiring import credentials
from tests.cli.conftest import Folder

LINE = re.compile(r"\d\d:\d\d:\d\d\.\d{3}Z ")
PASSWORD = 'pass "ö" word'  # noqa: S105 - of a test


@pytest.fixture
def password(monkeypatch: pytest.MonkeyPatch) -> str:
    """One that vdvs has read, as it would for a host or a vCenter."""
    monkeypatch.setattr(credentials, "_passwords", set())
    monkeypatch.setenv("HOST_PASSWORD", PASSWORD)
    credentials.read_password(SecretFrom(env="HOST_PASSWORD", file=None))
    return PASSWORD


def test_each_host_and_how_long_it_took(folder: Folder) -> None:
    done = folder.vdvs("apply", "-f", "manifests", "-v")
    assert done.exit_code == 0
    lines = [LINE.sub("", line) for line in done.stderr.splitlines() if LINE.match(line)]
    for host in ("esxiz10", "esxiz20"):
        for what in ("connected in", "observe took", "apply_host took"):
            (line, *_) = [line for line in lines if line.startswith(f"{host}: {what}")]
            assert re.search(r" \d+\.\d\d s", line)
    assert any(re.fullmatch(r"\w+: apply_db took .* s \(\d RecordObject, CreateVMGroup\)", line) for line in lines)
    assert any(re.fullmatch(r"changing hosts: 2 done in \d+\.\d\d s", line) for line in lines)
    assert " > {" not in done.stderr  # the protocol is for -vv


def test_the_log_is_beside_the_result_and_ends_with_the_command(folder: Folder) -> None:
    quiet = folder.vdvs("diff", "-f", "manifests")
    logged = folder.vdvs("diff", "-f", "manifests", "-v")
    assert (logged.stdout, logged.exit_code, quiet.stderr) == (quiet.stdout, quiet.exit_code, "")
    assert not logging.getLogger("reconciler").handlers
    assert folder.vdvs("diff", "-f", "manifests").stderr == ""


def test_what_failed_and_why(applied: Folder) -> None:
    (applied.lab / "hosts" / "esxiz10").rename(applied.lab / "hosts" / "away")
    done = applied.vdvs("diff", "-f", "manifests", "-v")
    assert done.exit_code == 3
    assert re.search(r"Z esxiz10: observe failed after \d+\.\d\d s: .*esxiz10", done.stderr)


def test_the_protocol_with_every_password_hidden(folder: Folder, password: str) -> None:
    """The password happens to be in a description, so it goes over the line in both directions."""
    folder.edit("vmgroup.yaml", "spec:\n", f"spec:\n  description: '{password} of the host'\n")
    for command in ("apply", "diff", "get vmgroups -o yaml"):
        done = folder.vdvs(*command.split(), "-f", "manifests", "-vv")
        assert done.exit_code == 0
        assert re.search(r'esxiz10 > \{"id":1,"do":"observe"', done.stderr)
        assert re.search(r'esxiz10 < \{"id":1,"result":', done.stderr)
        for line in filter(LINE.match, done.stderr.splitlines()):
            assert not re.search("pass .*word", line), line
        if command == "apply":
            assert '"description":"*** of the host"' in done.stderr


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"login with {PASSWORD}!", "login with ***!"),
        (r'{"d":"pass \"\u00f6\" word"}', '{"d":"***"}'),
        (r'{"d":"pass \"ö\" word"}', '{"d":"***"}'),
        ("https://x/?", "https://x/?"),
        ("from https://me:s3cret@depot/x.vib", "from https://***@depot/x.vib"),
        ("from https://t0ken@depot/x.vib", "from https://***@depot/x.vib"),
        ('"https://depot/x.vib?sig=s3cret&a=b", 1', '"https://depot/x.vib?***", 1'),
        ('{"userPassword": "s3\\"cret", "b": 1}', '{"userPassword": "***", "b": 1}'),
        ('{"api_token":"s3cret"}', '{"api_token":"***"}'),
        ("{'password': 's3\\'cret', 'b': 1}", "{'password': '***', 'b': 1}"),
        ('{"passphrase":"s3cret', '{"passphrase":"***"'),
        ("from https://me:p@s3cret@depot/x.vib", "from https://***@depot/x.vib"),
        ("Authorization: Basic bWU6czNjcmV0", "Authorization: ***"),
        (r'{"d":"{\"e\":\"pass \\\"\\u00f6\\\" word\"}"}', r'{"d":"{\"e\":\"***\"}"}'),
        ("<password>pass &quot;ö&quot; word</password>", "<password>***</password>"),
        ("pass=pass+%22%C3%B6%22+word", "pass=***"),
        ("cGFzcyAiw7YiIHdvcmQ=", "***"),
        ("host ds:///vmfs/volumes/1/ of a@b", "host ds:///vmfs/volumes/1/ of a@b"),
    ],
)
def test_what_is_hidden(text: str, shown: str, password: str) -> None:
    assert log.hidden(text) == shown


def test_a_password_that_begins_with_another_is_hidden_to_its_end(
    password: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOST_PASSWORD", f"{password}-of-esx1")
    credentials.read_password(SecretFrom(env="HOST_PASSWORD", file=None))
    assert log.hidden(f"({password}-of-esx1, {password})") == "(***, ***)"


def test_a_secret_is_hidden_where_a_line_is_cut() -> None:
    for before in range(1985, 2001):
        assert "cret" not in log.hidden("x" * before + "https://me:s3cret@depot/x.vib and more")
    for end in range(12):
        assert "cret" not in log.hidden('{"userPassword": "' + 'cret\\"' * 1000 + "x" * end)


def test_a_hostile_line_takes_no_longer_than_another() -> None:
    assert log.hidden("://" * 10_000_000).endswith(" more characters)")


def test_what_a_host_says_is_escaped_and_cut(capsys: pytest.CaptureFixture[str]) -> None:
    stop = log.start(2)
    logging.getLogger("reconciler.hosts.x").debug("esx1 < %s", "\x1b[2J" + "x" * 5000)
    stop()
    (line,) = capsys.readouterr().err.splitlines()
    assert "\\x1b[2J" in line
    assert line.endswith("more characters)")
    assert len(line) < 2200


def test_where_a_bug_comes_from(folder: Folder, broken_pass: object) -> None:
    broken_pass(RuntimeError("boom"))  # type: ignore[operator]
    assert "Traceback" in folder.vdvs("diff", "-f", "manifests", "-v").stderr
    assert "Traceback" not in folder.vdvs("diff", "-f", "manifests").stderr
