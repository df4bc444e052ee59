"""A broker's URL is completed with a password and an authority from files, and shown without secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kombu.utils.url import parse_url

from poolrace.credentials import broker_url, hide_password, with_password

if TYPE_CHECKING:
    from pathlib import Path

URL = "redis://poolrace@redis:6379/0"


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    path = tmp_path / "broker-password"
    path.write_text("p/a:s@s%\n")
    return path


@pytest.mark.parametrize("environ", [{}, {"POOLRACE_BROKER_URL": ""}, {"POOLRACE_BROKER_PASSWORD_FILE": "/nowhere"}])
def test_without_a_url_there_is_none(environ: dict[str, str]) -> None:
    assert broker_url(environ) is None


@pytest.mark.parametrize("empty", ["POOLRACE_BROKER_PASSWORD_FILE", "POOLRACE_BROKER_CA_FILE"])
def test_a_url_alone_stays_as_it_is(empty: str) -> None:
    assert broker_url({"POOLRACE_BROKER_URL": URL, empty: ""}) == URL


def test_a_text_that_is_no_url_is_left_to_its_user() -> None:
    assert broker_url({"POOLRACE_BROKER_URL": "redis", "POOLRACE_BROKER_PASSWORD_FILE": "/nowhere"}) == "redis"


def test_the_password_in_the_file_goes_into_the_url(password_file: Path) -> None:
    environ = {"POOLRACE_BROKER_URL": URL, "POOLRACE_BROKER_PASSWORD_FILE": str(password_file)}
    assert broker_url(environ) == "redis://poolrace:p%2Fa%3As%40s%25@redis:6379/0"


@given(password=st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1))
def test_kombu_reads_every_password_as_it_was(password: str) -> None:
    read = parse_url(with_password(URL, password))
    assert (read["userid"], read["password"]) == ("poolrace", password)
    assert (read["hostname"], read["port"], read["virtual_host"]) == ("redis", 6379, "0")


def test_a_url_without_a_user_gets_the_password_alone() -> None:
    assert with_password("redis://redis:6379/0", "secret") == "redis://:secret@redis:6379/0"


def test_two_passwords_are_one_too_many(password_file: Path) -> None:
    with pytest.raises(ValueError, match="Give it in one place") as raised:
        broker_url({"POOLRACE_BROKER_URL": "redis://:first@redis", "POOLRACE_BROKER_PASSWORD_FILE": str(password_file)})
    assert "first" not in str(raised.value)


def test_a_missing_password_file_is_refused_with_its_name(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    with pytest.raises(ValueError, match=r"POOLRACE_BROKER_PASSWORD_FILE .*missing: No such file or directory. Name"):
        broker_url({"POOLRACE_BROKER_URL": URL, "POOLRACE_BROKER_PASSWORD_FILE": str(missing)})


@pytest.mark.parametrize(("content", "reason"), [(b"", "empty"), (b"\n", "empty"), (b"\xff", "not text")])
def test_a_password_file_without_a_password_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "password"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"password: {reason}. Name a file"):
        broker_url({"POOLRACE_BROKER_URL": URL, "POOLRACE_BROKER_PASSWORD_FILE": str(path)})


def test_over_tls_the_broker_must_show_a_certificate_of_the_authority(tmp_path: Path) -> None:
    authority = tmp_path / "ca.pem"
    authority.touch()
    url = broker_url({"POOLRACE_BROKER_URL": "rediss://first.example/0", "POOLRACE_BROKER_CA_FILE": str(authority)})
    assert url == f"rediss://first.example/0?ssl_cert_reqs=required&ssl_ca_certs={authority}"
    import ssl

    assert parse_url(url)["ssl"] == {"ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_ca_certs": str(authority)}


def test_the_other_query_parameters_of_the_url_are_kept(tmp_path: Path) -> None:
    authority = tmp_path / "ca.pem"
    authority.touch()
    url = broker_url(
        {
            "POOLRACE_BROKER_URL": "rediss://first.example/0?socket_timeout=5&ssl_cert_reqs=none",
            "POOLRACE_BROKER_CA_FILE": str(authority),
        }
    )
    assert url == f"rediss://first.example/0?socket_timeout=5&ssl_cert_reqs=required&ssl_ca_certs={authority}"


def test_an_authority_without_tls_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="is for TLS, and POOLRACE_BROKER_URL is redis://"):
        broker_url({"POOLRACE_BROKER_URL": URL, "POOLRACE_BROKER_CA_FILE": "/run/ca.pem"})


def test_a_missing_authority_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such file"):
        broker_url({"POOLRACE_BROKER_URL": "rediss://redis", "POOLRACE_BROKER_CA_FILE": str(tmp_path / "ca.pem")})


@pytest.mark.parametrize(
    "url", ["redis://127.0.0.1:6379/0", "redis://localhost", "redis://[::1]:6379/0", "redis+socket:///tmp/s"]
)
def test_a_url_without_secrets_is_shown_as_it_is(url: str) -> None:
    assert hide_password(url) == url


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:geheim@host:6379/0", "redis://:***@host:6379/0"),
        ("redis://shop:geheim@host/0", "redis://shop:***@host/0"),
        ("redis://geheim@host/0", "redis://:***@host/0"),
        ("redis://shop:ge@heim/@host/0", "redis://shop:***@host/0"),
        ("redis://host:geheim", "redis://host:***"),
        ("redis://[::1]:geheim/0", "redis://[::1]:***/0"),
        ("redis://host/0?password=geheim&ssl_cert_reqs=none", "redis://host/0?password=***&ssl_cert_reqs=none"),
        ("sqs://host?session_token=geheim", "sqs://host?session_token=***"),
        ("geheim", "***"),
    ],
)
def test_the_secrets_of_a_url_are_hidden_also_of_a_malformed_one(url: str, shown: str) -> None:
    assert hide_password(url) == shown


@given(password=st.text(alphabet="abcXYZ0189:/@?#%", min_size=3))
def test_no_password_is_ever_shown(password: str) -> None:
    assert hide_password(f"redis://shop:{password}@host:6379/0") == "redis://shop:***@host:6379/0"
