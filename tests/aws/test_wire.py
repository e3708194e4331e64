"""Where connections go: endpoint, proxy, certificates.  None is opened."""

import http.client
from pathlib import Path

import pytest

from knitter.aws import wire
from knitter.errors import CloudError


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy", "AWS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def test_straight_to_the_endpoint() -> None:
    secure = wire.connection("https://ebs.eu-west-1.amazonaws.com", timeout=9)
    assert isinstance(secure, http.client.HTTPSConnection)
    assert (secure.host, secure.port, secure.timeout) == ("ebs.eu-west-1.amazonaws.com", 443, 9)
    plain = wire.connection("http://127.0.0.1:5123", timeout=9)
    assert (plain.host, plain.port) == ("127.0.0.1", 5123)


def test_through_a_proxy_by_connect(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example.org:3128")
    opened = wire.connection("https://ebs.eu-west-1.amazonaws.com", timeout=9)
    assert (opened.host, opened.port) == ("proxy.example.org", 3128)
    assert (opened._tunnel_host, opened._tunnel_port) == ("ebs.eu-west-1.amazonaws.com", 443)  # type: ignore[attr-defined]


def test_no_proxy_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example.org:3128")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert wire.connection("http://127.0.0.1:5123", timeout=9).port == 5123
    with pytest.raises(CloudError, match="proxy"):
        wire.connection("http://192.0.2.1:5123", timeout=9)


@pytest.mark.parametrize("url", ["ftp://example.org", "example.org", "http://", ""])
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(CloudError, match="not an endpoint") as caught:
        wire.connection(url, timeout=9)
    assert ".doit.cfg" in caught.value.hint


def test_missing_certificates_are_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "none.pem"))
    with pytest.raises(CloudError, match="AWS_CA_BUNDLE"):
        wire.connection("https://example.org", timeout=9)
