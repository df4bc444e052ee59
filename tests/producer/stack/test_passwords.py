"""Secrets are made once, kept from then on, told when asked for, and never constants."""

from __future__ import annotations

import hashlib
import json
import shutil
import ssl
import stat
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from producer.cli._root import main
from producer.errors import UsageError
from producer.stack import certificates, passwords

if TYPE_CHECKING:
    from pathlib import Path

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl on this machine")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def run(*words: str, text: str = "", code: int = 0) -> str:
    result = CliRunner().invoke(main, ["secrets", *words], input=text, env={"POOLRACE_SECRETS_DIR": None})
    assert result.exit_code == code, result.output
    return result.output


def test_a_first_start_makes_every_file_for_its_owner_alone(tmp_path: Path) -> None:
    assert passwords.make(tmp_path) is True
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {
        "broker-password": 0o400,
        "flower-login": 0o400,
        "grafana-password": 0o400,
        "redis-users.acl": 0o400,
    }


def test_a_second_start_keeps_them(tmp_path: Path) -> None:
    passwords.make(tmp_path)
    before = contents(tmp_path)
    assert passwords.make(tmp_path) is False
    assert contents(tmp_path) == before


def test_two_stacks_share_no_password(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
        passwords.make(folder)
    shared = contents(first).items() & contents(second).items()
    assert shared == set()


def test_a_file_that_a_crash_left_empty_is_made_again(tmp_path: Path) -> None:
    (tmp_path / "broker-password").touch()
    passwords.make(tmp_path)
    assert len((tmp_path / "broker-password").read_text()) >= 32


def test_access_rules_follow_the_password_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "broker-password").write_text("kept\n")
    (tmp_path / "redis-users.acl").write_text("rules of an older version\n")
    passwords.make(tmp_path)
    rules = (tmp_path / "redis-users.acl").read_text()
    assert f"#{hashlib.sha256(b'kept').hexdigest()}" in rules
    assert "older version" not in rules


def test_access_rules_let_nobody_in_without_a_password_and_hold_none_in_clear() -> None:
    rules = passwords.broker_users("open sesame").splitlines()
    assert rules[0].startswith("user default off resetpass ")
    assert rules[1].startswith("user poolrace on #")
    assert "-@all" in rules[1].split()
    assert "sesame" not in "".join(rules)


@pytest.mark.parametrize(
    "command",
    ["acl", "bgrewriteaof", "bgsave", "client", "cluster", "config", "debug", "failover", "flushall", "flushdb",
     "function", "keys", "latency", "memory", "migrate", "module", "monitor", "psync", "replicaof", "restore", "role",
     "save", "scan", "shutdown", "slaveof", "slowlog", "swapdb", "sync"],
)  # fmt: skip
def test_access_rules_name_no_command_that_harms_others(command: str) -> None:
    assert command not in passwords.COMMANDS


def test_access_rules_allow_nothing_by_category() -> None:
    assert not [word for word in passwords.broker_users("x").splitlines()[1].split() if word.startswith("+@")]


def test_redis_may_replay_its_own_file() -> None:
    assert passwords.broker_users("x").splitlines()[0].endswith(" ~* &* +@all")


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"missing: No such file or directory. Name a folder"):
        passwords.make(tmp_path / "missing")


def test_the_login_is_printed_when_it_is_new_and_can_be_asked_for_again(tmp_path: Path) -> None:
    first = run("make", str(tmp_path), "--flower-url", "http://127.0.0.1:5556")
    user, password = passwords.flower_login(tmp_path)
    assert f"Flower: http://127.0.0.1:5556  user: {user}  password: {password}" in first
    assert password not in run("make", str(tmp_path))
    assert run("show", str(tmp_path)) == f"user: {user}\npassword: {password}\n"


def test_no_login_can_be_told_before_it_is_made(tmp_path: Path) -> None:
    assert "not there yet. Make it: poolrace secrets make" in run("show", str(tmp_path), code=2)


@pytest.mark.parametrize(
    ("name", "alternative"),
    [
        ("redis", "DNS:redis"),
        ("first.example", "DNS:first.example"),
        ("192.0.2.10", "IP:192.0.2.10"),
        ("2001:db8::1", "IP:2001:db8::1"),
    ],
)
def test_a_certificate_is_for_names_and_addresses(name: str, alternative: str) -> None:
    assert certificates.alternative_name(name) == alternative


@pytest.mark.parametrize("name", ["", "-", "two names", "a,DNS:b", "first.example:6380", "https://first.example"])
def test_what_is_neither_a_name_nor_an_address_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="must be a host name or an address"):
        certificates.alternative_name(name)


def test_keys_need_a_place(tmp_path: Path) -> None:
    assert "say where keys go" in run("make", str(tmp_path), "--tls-name", "redis", code=2)


@pytest.fixture
def with_certificates(tmp_path: Path) -> tuple[Path, Path]:
    folder, private = tmp_path / "secrets", tmp_path / "tls"
    for each in (folder, private):
        each.mkdir()
    run("make", str(folder), "--tls-dir", str(private), "--tls-name", "redis", "--tls-name", "192.0.2.10")
    return folder, private


@needs_openssl
def test_the_authority_is_kept_while_the_broker_gets_a_certificate_at_each_start(
    with_certificates: tuple[Path, Path],
) -> None:
    folder, private = with_certificates
    before = contents(private)
    run("make", str(folder), "--tls-dir", str(private), "--tls-name", "redis")
    changed = {name for name, content in contents(private).items() if before[name] != content}
    assert changed == {"broker.pem", "broker.key"}
    assert (folder / "ca.pem").read_bytes() == before["ca.pem"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in private.iterdir()} == {0o400}


@needs_openssl
@pytest.mark.parametrize(("host", "trusted"), [("redis", True), ("192.0.2.10", True), ("elsewhere", False)])
def test_who_trusts_the_authority_trusts_the_broker_by_its_names_alone(
    with_certificates: tuple[Path, Path], host: str, trusted: bool
) -> None:
    folder, private = with_certificates
    there = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    there.load_cert_chain(private / "broker.pem", private / "broker.key")
    here = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    assert shakes_hands(here, there, host) is trusted


def shakes_hands(here: ssl.SSLContext, there: ssl.SSLContext, host: str) -> bool:
    """Whether a client would speak to a server; nothing but memory between the two."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = here.wrap_bio(down, up, server_hostname=host)
    server = there.wrap_bio(up, down, server_side=True)
    for _ in range(4):
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLCertVerificationError:
                return False
    return True


@needs_openssl
def test_the_keys_stay_where_nodes_do_not_look(with_certificates: tuple[Path, Path]) -> None:
    folder, private = with_certificates
    assert not [name for name, content in contents(folder).items() if b"PRIVATE KEY" in content]
    assert {"ca.key", "broker.key"} <= {path.name for path in private.iterdir()}


@needs_openssl
def test_another_host_gets_the_password_and_the_authority_and_no_more(
    with_certificates: tuple[Path, Path], tmp_path: Path
) -> None:
    folder, _ = with_certificates
    there = tmp_path / "there"
    there.mkdir()
    run("import", str(there), text=run("export", str(folder)))
    assert contents(there) == {name: (folder / name).read_bytes() for name in ("broker-password", "ca.pem")}


def test_without_tls_nothing_is_handed_over(tmp_path: Path) -> None:
    passwords.make(tmp_path)
    assert "no ca.pem. Start the stack with compose.tls.yaml first" in run("export", str(tmp_path), code=2)


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '"text"', json.dumps({"broker-password": "x"})])
def test_what_is_no_export_is_not_imported(tmp_path: Path, text: str) -> None:
    assert "not what poolrace secrets export prints" in run("import", str(tmp_path), text=text, code=2)
    assert contents(tmp_path) == {}
