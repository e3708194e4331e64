"""What AWS and botocore say when they refuse, turned into one CloudError that tells what to do.

The codes are those of the EC2 API Reference, "Error codes for the Amazon EC2 API", and of the EBS direct API
Reference, "Common Errors".
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from knitter.errors import CloudError
from knitter.files import is_full

NO_CREDENTIALS: Final = (
    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, run `aws configure`, or name a `profile` in .doit.cfg; "
    "`cloud = lab` needs none"
)
_REFRESH: Final = "the session has ended: log in again (`aws sso login`), or renew AWS_SESSION_TOKEN"
_CLOCK: Final = "set the clock of this host: AWS accepts a signature for 5 minutes (15 for some services)"
_RIGHTS: Final = "the credentials are valid but lack this right; an administrator must allow the action"
_LATER: Final = "AWS is limiting the rate of requests of this account; run the same command again in a while"
_QUOTA: Final = "a quota of the account is reached: remove what is not needed, or raise it in Service Quotas"
_WRONG_KEY: Final = "AWS does not know the access key, or the secret does not belong to it; check profile and region"

HINTS: Final[dict[str, str]] = {
    "AccessDenied": _RIGHTS,
    "AccessDeniedException": _RIGHTS,
    "UnauthorizedOperation": _RIGHTS,
    "AuthFailure": _WRONG_KEY,
    "InvalidClientTokenId": _WRONG_KEY,
    "UnrecognizedClientException": _WRONG_KEY,
    "SignatureDoesNotMatch": _WRONG_KEY,
    "InvalidSignatureException": _WRONG_KEY,
    "ExpiredToken": _REFRESH,
    "ExpiredTokenException": _REFRESH,
    "RequestExpired": _CLOCK,
    "RequestTimeTooSkewed": _CLOCK,
    "OptInRequired": "enable this region for the account (AWS console, Account, AWS Regions), or choose another",
    "RequestLimitExceeded": _LATER,
    "ThrottlingException": _LATER,
    "RequestThrottledException": _LATER,
    "ServiceQuotaExceededException": _QUOTA,
    "SnapshotLimitExceeded": _QUOTA,
    "PendingSnapshotLimitExceeded": _QUOTA,
    "AMIQuotaExceeded": _QUOTA,
    "InvalidSnapshot.NotFound": "the snapshot was deleted; run the same command again: it is made anew",
    "InternalError": "an error inside AWS; run the same command again",
    "Unavailable": "AWS is overloaded; run the same command again",
}

_RAISED: Final[dict[str, str]] = {
    "NoCredentialsError": NO_CREDENTIALS,
    "PartialCredentialsError": NO_CREDENTIALS,
    "ProfileNotFound": "correct `profile` in .doit.cfg (or AWS_PROFILE), or add it with `aws configure --profile`",
    "SSOTokenLoadError": _REFRESH,
    "TokenRetrievalError": _REFRESH,
    "UnauthorizedSSOTokenError": _REFRESH,
    "CredentialRetrievalError": "the source of the credentials (role, process or login) failed; see above",
    "InvalidRegionError": "correct `region` in .doit.cfg; a region is written like eu-west-1",
    "SSLError": "the certificate was not accepted; behind an inspecting proxy set AWS_CA_BUNDLE",
}
"""By name of the botocore exception."""

_UNREACHABLE: Final = ("EndpointConnectionError", "ConnectTimeoutError", "ConnectionClosedError", "ReadTimeoutError")


@contextmanager
def explained(doing: str) -> Iterator[None]:
    """What botocore or the network raises inside becomes a CloudError: `<doing>: <why>`."""
    try:
        yield
    except Exception as error:
        told = explanation(doing, error)
        if told is None:
            raise
        raise told from error


def explanation(doing: str, error: Exception) -> CloudError | None:
    """The CloudError of what botocore or the network raised; None for any other exception."""
    name = type(error).__name__
    response: dict[str, Any] | None = getattr(error, "response", None)
    if isinstance(response, dict) and "Error" in response:
        body, meta = response["Error"], response.get("ResponseMetadata", {})
        return refusal(doing, body.get("Code", ""), body.get("Message") or "", meta.get("RequestId", ""))
    if isinstance(error, OSError) and is_full(error):
        return None  # the journal's trouble, not the cloud's
    if name in _UNREACHABLE or (isinstance(error, OSError) and type(error).__module__ != "botocore.exceptions"):
        return unreachable(doing, str(error))
    if type(error).__module__.startswith("botocore."):
        return CloudError(f"{doing}: {_sentence(str(error))}", code=name, hint=_RAISED.get(name, ""))
    return None


def refusal(doing: str, code: str, message: str, request: str = "") -> CloudError:
    """The cloud answered, and said no.  *request* is the id that AWS's support asks for."""
    hint = HINTS.get(code, "")
    if "Signature expired" in message or "Signature not yet current" in message:
        hint = _CLOCK
    if "Encoded authorization failure message" in message:
        hint += "\n`aws sts decode-authorization-message --encoded-message <the text above>` tells which"
    lines = [message, f"code: {code}", f"request id: {request}" if request else ""]
    return CloudError(
        f"{doing}: {_sentence(message) or code}", code=code, details="\n".join(filter(None, lines)), hint=hint
    )


def unreachable(doing: str, why: str) -> CloudError:
    """The cloud did not answer."""
    return CloudError(
        f"{doing}: the endpoint does not answer",
        code="Unreachable",
        details=why,
        hint="check the network, and `region` and `endpoint` in .doit.cfg; for the lab: doit lab",
    )


def _sentence(message: str) -> str:
    """The first sentence, without the long encoded part that some messages carry."""
    head = message.split(" Encoded authorization", maxsplit=1)[0].strip().splitlines()
    return head[0].rstrip(".") if head else ""
