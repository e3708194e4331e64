"""Our signature is botocore's, byte for byte."""

import hashlib
import random
from datetime import UTC, datetime

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials

from knitter.aws import wire
from knitter.aws.signer import UNSIGNED, Credentials, Scope

URLS = (
    "https://ebs.eu-west-1.amazonaws.com",
    "https://ebs.eu-west-1.amazonaws.com:443",
    "https://ec2.cn-north-1.amazonaws.com.cn",
    "http://127.0.0.1:5123",
    "http://127.0.0.1:80",
    "http://[::1]:8080",
    "https://ebs-fips.us-gov-west-1.example.org:8443",
)


def _case(seed: int) -> tuple[Credentials, Scope, str, str, dict[str, str], bytes | None]:
    rng = random.Random(seed)
    letters = "abcdefghijklmnopqrstuvwxyz0123456789+/="
    word = lambda size: "".join(rng.choices(letters, k=size))  # noqa: E731
    credentials = Credentials(word(20).upper(), word(40), word(300) if rng.random() < 0.5 else None)
    scope = Scope(rng.choice(("ebs", "ec2")), rng.choice(("eu-west-1", "us-east-1", "ap-southeast-4")))
    path = rng.choice(("/", f"/snapshots/snap-{rng.randrange(16**17):017x}/blocks/{rng.randrange(10**7)}"))
    headers = {f"x-amz-{name}": word(rng.randrange(1, 60)) for name in rng.sample(("checksum", "data-length", "a"), 2)}
    if rng.random() < 0.3:
        headers["x-amz-spaces"] = "  two   words "
    body = rng.randbytes(rng.randrange(100)) if rng.random() < 0.5 else None
    return credentials, scope, rng.choice(URLS) + path, path, headers, body


@pytest.mark.parametrize("seed", range(150))
def test_signature_is_botocores(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Amazon's rules as botocore follows them: AWS General Reference, Signature Version 4."""
    credentials, scope, url, path, headers, body = _case(seed)
    moment = datetime(2026, 11, 23, 4, 5, 6, tzinfo=UTC).timestamp() + seed * 7201
    when = datetime.fromtimestamp(moment, UTC)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda **_: when.replace(tzinfo=None))
    request = AWSRequest("PUT", url, headers=headers, data=body or b"")
    request.context["payload_signing_enabled"] = body is not None
    if body is None:
        request.headers["X-Amz-Content-SHA256"] = UNSIGNED
    SigV4Auth(BotoCredentials(*credentials), scope.service, scope.region).add_auth(request)

    payload = UNSIGNED if body is None else hashlib.sha256(body).hexdigest()
    ours = {"host": wire.host_header(url), **headers}
    signed = scope.sign(credentials, "PUT", path, ours, payload=payload, now=moment)

    assert signed["authorization"] == request.headers["Authorization"]
    assert signed["x-amz-date"] == request.headers["X-Amz-Date"]
    assert signed.get("x-amz-security-token") == request.headers.get("X-Amz-Security-Token")


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://ebs.eu-west-1.amazonaws.com", "ebs.eu-west-1.amazonaws.com"),
        ("https://example.org:443/", "example.org"),
        ("http://127.0.0.1:5123", "127.0.0.1:5123"),
        ("http://[::1]:5123", "[::1]:5123"),
    ],
)
def test_host_header_names_the_port_only_if_unusual(url: str, host: str) -> None:
    assert wire.host_header(url) == host
