"""EC2's Query protocol over http.client: for the two questions every run asks first.

boto3's EC2 client takes 0.55 s before its first request (measured: import 0.27, the model of EC2 0.28), this 0.04; a
run that has nothing to do must end within a second.  Source: Amazon EC2 API Reference, "Making API requests".
"""

import hashlib
import http.client
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlencode

from knitter import markup
from knitter.aws import wire
from knitter.aws.explain import refusal, unreachable
from knitter.aws.session import READ_TIMEOUT, Cloud
from knitter.aws.signer import Scope
from knitter.errors import CloudError

VERSION: Final = "2016-11-15"
PAGE: Final = 1000
TRIES: Final = 3
_FORM: Final = "application/x-www-form-urlencoded; charset=utf-8"


def pages(cloud: Cloud, action: str, **parameters: str) -> Iterator[ET.Element]:
    """Every page of a Describe action.  Raises CloudError."""
    asked = {"Action": action, "Version": VERSION, "MaxResults": str(PAGE), **parameters}
    token = ""
    while True:
        page = _ask(cloud, asked | ({"NextToken": token} if token else {}))
        yield page
        if not (token := text(page, "nextToken")):
            return


def text(element: ET.Element, path: str) -> str:
    """Text of the element at *path* of bare names; "" if there is none."""
    return element.findtext("/".join(f"{{*}}{name}" for name in path.split("/")), "")


def items(element: ET.Element, path: str) -> list[ET.Element]:
    """The items of the set at *path*."""
    return element.findall("/".join(f"{{*}}{name}" for name in (*path.split("/"), "item")))


def _ask(cloud: Cloud, parameters: dict[str, str]) -> ET.Element:
    doing = f"asking EC2 for {parameters['Action']}"
    body = urlencode(parameters).encode()
    for left in reversed(range(TRIES)):
        try:
            status, answer = _post(cloud, body)
        except (OSError, http.client.HTTPException) as error:
            if not left:
                raise unreachable(doing, f"{cloud.endpoint_url('ec2')}: {error}") from None
            continue
        if status == 200:
            return _told(doing, answer)
        if not left or status < 500:
            raise refusal(doing, *_refused(status, answer))
    raise AssertionError("the last try returns or raises")


def _post(cloud: Cloud, body: bytes) -> tuple[int, bytes]:
    url = cloud.endpoint_url("ec2")
    headers = {"host": wire.host_header(url), "content-type": _FORM}
    payload = hashlib.sha256(body).hexdigest()
    signed = Scope("ec2", cloud.region).sign(cloud.credentials(), "POST", "/", headers, payload=payload)
    connection = wire.connection(url, timeout=READ_TIMEOUT)
    try:
        connection.request("POST", "/", body, signed | {"user-agent": wire.USER_AGENT})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def _told(doing: str, answer: bytes) -> ET.Element:
    if (told := _parsed(answer)) is None:
        raise CloudError(
            f"{doing}: what answers there is not EC2",
            details=_begin(answer),
            hint="check `endpoint` in .doit.cfg, and whether a proxy or a login page stands before it",
        )
    return told


def _parsed(answer: bytes) -> ET.Element | None:
    """None if it is no XML."""
    try:
        return markup.parse(answer)
    except ValueError:
        return None


def _begin(answer: bytes) -> str:
    return answer[:200].decode(errors="replace")


def _refused(status: int, answer: bytes) -> tuple[str, str, str]:
    """Code, message and request id."""
    if (told := _parsed(answer)) is None:
        return f"HTTP {status}", _begin(answer), ""
    found = {name: next((node.text or "" for node in told.iter() if node.tag.endswith(name)), "") for name in _REFUSAL}
    return found["Code"] or f"HTTP {status}", found["Message"], found["RequestID"]


_REFUSAL: Final = ("Code", "Message", "RequestID")
