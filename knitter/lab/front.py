"""What stands before moto: the health page, the record of calls, and the signature of every request."""

import hashlib
import io
import json
import os
from collections.abc import Callable, Iterable
from typing import Any

import knitter
from knitter.lab import signature
from knitter.lab.errors import ApiError
from knitter.lab.service import HEALTH
from knitter.lab.tally import CALLS, Tally, name_action

Environ = dict[str, Any]
Start = Callable[[str, list[tuple[str, str]]], Any]
Application = Callable[[Environ, Start], Iterable[bytes]]

_EC2 = {
    "MissingAuthenticationTokenException": "MissingAuthenticationToken",
    "IncompleteSignatureException": "IncompleteSignature",
}
"""EC2's names of these errors; every other is AuthFailure."""
_STS = {
    "MissingAuthenticationTokenException": "MissingAuthenticationToken",
    "IncompleteSignatureException": "IncompleteSignature",
    "UnrecognizedClientException": "InvalidClientTokenId",
    "InvalidSignatureException": "SignatureDoesNotMatch",
}
"""STS's names of all of them."""


class Front:
    """The WSGI application in front of moto's."""

    def __init__(self, application: Application, tally: Tally) -> None:
        self._application = application
        self._tally = tally

    def __call__(self, environ: Environ, start: Start) -> Iterable[bytes]:
        """Answer by itself, or let moto."""
        if environ["PATH_INFO"] == HEALTH:
            body = json.dumps({"pid": os.getpid(), "version": knitter.__version__})
            return _answer(start, "200 OK", "application/json", body)
        if environ["PATH_INFO"] == CALLS:
            told = self._tally.told(reset="reset" in environ["QUERY_STRING"])
            return _answer(start, "200 OK", "application/json", told)
        headers, sent = _read(environ)
        self._tally.count(name_action(headers, sent), headers.get("user-agent", ""))
        try:
            _check(environ, headers, sent)
        except ApiError as error:
            return _refuse(environ, start, error)
        return self._application(environ, start)


def _read(environ: Environ) -> tuple[dict[str, str], bytes]:
    """Headers, with lower-case names, and body, which moto reads again."""
    headers = {name[5:].lower().replace("_", "-"): value for name, value in environ.items() if name.startswith("HTTP_")}
    headers["content-type"] = environ.get("CONTENT_TYPE", "")
    headers["content-length"] = environ.get("CONTENT_LENGTH", "")
    body: bytes = environ["wsgi.input"].read(int(headers["content-length"] or 0))
    environ["wsgi.input"] = io.BytesIO(body)
    return headers, body


def _check(environ: Environ, headers: dict[str, str], body: bytes) -> None:
    """Raises ApiError unless the request is signed with the lab's key, or with one that the lab's STS gave out."""
    if "Credential=ASIA" in headers.get("authorization", ""):
        return  # moto knows these keys by itself
    signature.check(environ["REQUEST_METHOD"], environ["RAW_URI"], headers, hashlib.sha256(body).hexdigest())


def _refuse(environ: Environ, start: Start, error: ApiError) -> Iterable[bytes]:
    """In the form of the service: EC2's XML, the query protocol's, or JSON."""
    scope = environ.get("HTTP_AUTHORIZATION", "")
    if environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded"):
        code = _STS[error.code] if "/sts/" in scope else _EC2.get(error.code, "AuthFailure")
        inner = f"<Error><Code>{code}</Code><Message>{error.message.replace('<', '')}</Message></Error>"
        outer = f"<Response><Errors>{inner}</Errors><RequestID>lab</RequestID></Response>"
        if "/sts/" in scope:
            outer = f"<ErrorResponse>{inner}<RequestId>lab</RequestId></ErrorResponse>"
        return _answer(start, "401 Unauthorized" if "/ec2/" in scope else "403 Forbidden", "text/xml", outer)
    body = json.dumps({"__type": error.code, "message": error.message})
    return _answer(start, "403 Forbidden", "application/x-amz-json-1.1", body)


def _answer(start: Start, status: str, kind: str, body: str) -> Iterable[bytes]:
    data = body.encode()
    start(status, [("Content-Type", kind), ("Content-Length", str(len(data)))])
    return [data]
