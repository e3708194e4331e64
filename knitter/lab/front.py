"""What stands before moto: the health page, and the signature of every request."""

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

Environ = dict[str, Any]
Start = Callable[[str, list[tuple[str, str]]], Any]
Application = Callable[[Environ, Start], Iterable[bytes]]

_EC2 = {
    "MissingAuthenticationTokenException": "MissingAuthenticationToken",
    "IncompleteSignatureException": "IncompleteSignature",
}
"""EC2's names of these errors; every other is AuthFailure."""


class Front:
    """The WSGI application in front of moto's."""

    def __init__(self, application: Application) -> None:
        self._application = application

    def __call__(self, environ: Environ, start: Start) -> Iterable[bytes]:
        """Answer by itself, or let moto."""
        if environ["PATH_INFO"] == HEALTH:
            body = json.dumps({"pid": os.getpid(), "version": knitter.__version__})
            return _answer(start, "200 OK", "application/json", body)
        try:
            _check(environ)
        except ApiError as error:
            return _refuse(environ, start, error)
        return self._application(environ, start)


def _check(environ: Environ) -> None:
    """Raises ApiError unless the request is signed with the lab's key, or with one that the lab's STS gave out."""
    headers = {name[5:].lower().replace("_", "-"): value for name, value in environ.items() if name.startswith("HTTP_")}
    headers["content-type"] = environ.get("CONTENT_TYPE", "")
    headers["content-length"] = environ.get("CONTENT_LENGTH", "")
    if "Credential=ASIA" in headers.get("authorization", ""):
        return  # moto knows these keys by itself
    body = environ["wsgi.input"].read(int(headers["content-length"] or 0))
    environ["wsgi.input"] = io.BytesIO(body)
    signature.check(environ["REQUEST_METHOD"], environ["RAW_URI"], headers, hashlib.sha256(body).hexdigest())


def _refuse(environ: Environ, start: Start, error: ApiError) -> Iterable[bytes]:
    """In the form of the service: EC2's XML, the query protocol's, or JSON."""
    scope = environ.get("HTTP_AUTHORIZATION", "")
    if environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded"):
        code = _EC2.get(error.code, "AuthFailure") if "/sts/" not in scope else error.code.removesuffix("Exception")
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
