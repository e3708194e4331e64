"""AWS Signature Version 4, seen from the server: so that a client's signer is proven here, not first on AWS.

Source: AWS General Reference, "Signing AWS API requests" (canonical request, string to sign, signing key).
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final
from urllib.parse import parse_qsl, quote

from knitter.lab.errors import ApiError

# Not a secret: the lab listens on loopback only, and anybody may read this.
ACCESS_KEY: Final = "AKIAKNITTERLAB000000"
SECRET_KEY: Final = "the-lab-of-knitter-keeps-no-secrets-0000"  # noqa: S105 (no secret: `doit lab` prints it)

UNSIGNED: Final = "UNSIGNED-PAYLOAD"
"""Said of a body that is guarded otherwise, as PutSnapshotBlock's by its checksum."""
SKEW: Final = timedelta(minutes=15)
_FORM: Final = re.compile(
    r"AWS4-HMAC-SHA256\s+Credential=(?P<key>\w+)/(?P<date>\d{8})/(?P<region>[\w-]+)/(?P<service>[\w-]+)/aws4_request,"
    r"\s*SignedHeaders=(?P<headers>[\w;-]+),\s*Signature=(?P<signature>[0-9a-f]{64})"
)


@dataclass(frozen=True)
class Scope:
    """Who signed, for what."""

    key: str
    date: str
    region: str
    service: str


def check(method: str, target: str, headers: Mapping[str, str], body_digest: str) -> Scope:
    """The scope of a request signed with the lab's key.  *headers* have lower-case names; *target* is path?query.

    *body_digest* (hex) is what x-amz-content-sha256 must say, unless that is UNSIGNED-PAYLOAD.  Raises ApiError.
    """
    if "authorization" not in headers:
        raise ApiError("MissingAuthenticationTokenException", "Missing Authentication Token", status=403)
    match = _FORM.fullmatch(headers["authorization"])
    if match is None:
        raise ApiError("IncompleteSignatureException", "the Authorization header is not of Signature 4", status=403)
    scope = Scope(match["key"], match["date"], match["region"], match["service"])
    if scope.key != ACCESS_KEY:
        message = "The security token included in the request is invalid (the lab takes the keys `doit lab` prints)."
        raise ApiError("UnrecognizedClientException", message, status=403)
    _check_clock(headers.get("x-amz-date", ""), scope.date)
    names = match["headers"].split(";")
    said = headers.get("x-amz-content-sha256", body_digest)
    request = _canonical(method, target, headers, names, said)
    if said not in (body_digest, UNSIGNED) or not hmac.compare_digest(
        _signature(scope, headers.get("x-amz-date", ""), request), match["signature"]
    ):
        message = "The request signature we calculated does not match the signature you provided."
        raise ApiError("InvalidSignatureException", message, status=403)
    return scope


def _check_clock(moment: str, date: str) -> None:
    """AWS takes requests signed within 15 minutes of its clock, under a key of the same day."""
    try:
        signed = datetime.strptime(moment, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise ApiError("IncompleteSignatureException", f"x-amz-date is {moment!r}", status=403) from None
    if abs(datetime.now(UTC) - signed) > SKEW or not moment.startswith(date):
        raise ApiError("InvalidSignatureException", f"Signature expired: signed at {moment}", status=403)


def _canonical(method: str, target: str, headers: Mapping[str, str], names: list[str], digest: str) -> str:
    path, _, query = target.partition("?")
    values = "".join(f"{name}:{' '.join(headers.get(name, '').split())}\n" for name in names)
    pairs = sorted((_quoted(name), _quoted(value)) for name, value in parse_qsl(query, keep_blank_values=True))
    return "\n".join(
        (
            method,
            quote(path, safe="/-_.~"),  # the path as it travels, quoted once more
            "&".join(f"{name}={value}" for name, value in pairs),
            values,
            ";".join(names),
            digest,
        )
    )


def _quoted(text: str) -> str:
    return quote(text, safe="-_.~")


def _signature(scope: Scope, moment: str, request: str) -> str:
    digest = hashlib.sha256(request.encode()).hexdigest()
    text = f"AWS4-HMAC-SHA256\n{moment}\n{scope.date}/{scope.region}/{scope.service}/aws4_request\n{digest}"
    return hmac.digest(_key(scope.date, scope.region, scope.service), text.encode(), "sha256").hex()


@lru_cache(maxsize=64)
def _key(date: str, region: str, service: str) -> bytes:
    key = f"AWS4{SECRET_KEY}".encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key
