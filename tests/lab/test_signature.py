from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from knitter.lab import signature
from knitter.lab.errors import ApiError
from knitter.lab.signature import ACCESS_KEY, SECRET_KEY

HOST = "http://127.0.0.1:1234"


def signed(
    method: str, target: str, body: bytes = b"", *, key: str = ACCESS_KEY, secret: str = SECRET_KEY, **headers: str
) -> dict[str, str]:
    """The headers that botocore, AWS's own client, would send."""
    all_headers: dict[str, Any] = {"host": "127.0.0.1:1234"}
    all_headers |= {name.replace("_", "-"): value for name, value in headers.items()}
    request = AWSRequest(method=method, url=HOST + target, data=body, headers=all_headers)
    SigV4Auth(Credentials(key, secret), "ebs", "us-east-1").add_auth(request)
    return {name.lower(): value for name, value in request.headers.items()}


EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.mark.parametrize(
    "target",
    [
        "/snapshots",
        "/snapshots/snap-0123/blocks?maxResults=100&startingBlockIndex=7",
        "/snapshots/snap-0123/blocks/4?blockToken=AAb%2Bc%2F%3D%3D",
        "/a%20b/%3A?z=1&a=%25&empty=",
    ],
)
def test_what_botocore_signs_is_good(target: str) -> None:
    scope = signature.check("GET", target, signed("GET", target), EMPTY)
    assert (scope.key, scope.region, scope.service) == (ACCESS_KEY, "us-east-1", "ebs")


def test_a_signed_header_that_changed_on_the_way_is_refused() -> None:
    headers = signed("PUT", "/snapshots/snap-1/blocks/0", x_amz_checksum="one")
    signature.check("PUT", "/snapshots/snap-1/blocks/0", headers, EMPTY)
    with pytest.raises(ApiError) as caught:
        signature.check("PUT", "/snapshots/snap-1/blocks/0", headers | {"x-amz-checksum": "two"}, EMPTY)
    assert (caught.value.code, caught.value.status) == ("InvalidSignatureException", 403)


def test_a_body_that_changed_on_the_way_is_refused() -> None:
    headers = signed("POST", "/snapshots", b"{}")
    with pytest.raises(ApiError, match="does not match"):
        signature.check("POST", "/snapshots", headers, EMPTY)


def test_a_body_may_be_unsigned_but_not_said_to_be_another() -> None:
    """S3's and EBS direct's x-amz-content-sha256."""
    headers = signed("PUT", "/x", X_Amz_Content_SHA256="UNSIGNED-PAYLOAD")
    signature.check("PUT", "/x", headers, EMPTY)
    headers = signed("PUT", "/x", X_Amz_Content_SHA256="0" * 64)
    with pytest.raises(ApiError, match="does not match"):
        signature.check("PUT", "/x", headers, EMPTY)


def test_a_wrong_secret_an_unknown_key_and_no_signature_are_refused() -> None:
    for headers, code in (
        (signed("GET", "/x", secret="wrong"), "InvalidSignatureException"),
        (signed("GET", "/x", key="AKIASOMEBODYELSE0000"), "UnrecognizedClientException"),
        ({}, "MissingAuthenticationTokenException"),
        ({"authorization": "Basic eDp5"}, "IncompleteSignatureException"),
    ):
        with pytest.raises(ApiError) as caught:
            signature.check("GET", "/x", headers, EMPTY)
        assert caught.value.code == code


def test_an_old_signature_is_refused() -> None:
    headers = signed("GET", "/x") | {"x-amz-date": "20200101T000000Z"}
    with pytest.raises(ApiError, match="expired"):
        signature.check("GET", "/x", headers, EMPTY)
