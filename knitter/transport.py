"""A file of a mirror, from some byte on: http, https, file; through the environment's proxies.

urllib3 is imported inside functions: `doit list` imports every stage and fetches nothing.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

from knitter.errors import KnitterError

if TYPE_CHECKING:
    import urllib3

REACH: Final = "check the network, http_proxy and https_proxy, or set mirrors in .doit.cfg"
"""What to do when a mirror does not answer."""
_SCHEMES: Final = ("http", "https")
_CHUNK: Final = 256 * 1024
_CONNECT_TIMEOUT: Final = 15.0
_READ_TIMEOUT: Final = 30.0
"""Seconds without a byte."""
_GONE: Final = (403, 404, 410)


class GoneError(Exception):
    """The mirror answers, and says that it has no such file."""


class TransientError(Exception):
    """Worth another attempt."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The bytes of a file from `start` on.  Reading them may raise TransientError."""

    start: int
    chunks: Iterator[bytes]


class Transport:
    """Connections that are kept and shared by threads."""

    def __init__(self, connections: int) -> None:
        from urllib.request import getproxies, proxy_bypass  # noqa: PLC0415 slow to import

        import urllib3  # noqa: PLC0415 slow to import

        self._bypasses = proxy_bypass
        options: Any = {
            "maxsize": connections,
            "timeout": urllib3.Timeout(connect=_CONNECT_TIMEOUT, read=_READ_TIMEOUT),
            # The caller retries: it knows from which byte on.
            "retries": urllib3.Retry(total=None, connect=0, read=0, status=0, other=0, redirect=5),
        }
        self._direct = urllib3.PoolManager(**options)
        self._proxies = {scheme: _proxy(url, options) for scheme, url in getproxies().items() if scheme in _SCHEMES}

    @contextmanager
    def open(self, url: str, *, start: int) -> Iterator[Answer]:
        """The file at *url* from byte *start* on, or from 0 on if the mirror cannot do that.

        Raises GoneError and TransientError.
        """
        if url.startswith("file:"):
            with _open_file(url, start) as answer:
                yield answer
            return
        headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={start}-"} if start else {})}
        with _transient():
            response = self._pool(url).request("GET", url, headers=headers, preload_content=False)
        try:
            yield Answer(_start(response, start), _chunks(response))
        finally:
            response.close()

    def _pool(self, url: str) -> "urllib3.PoolManager":
        """Through the proxy of the environment, unless no_proxy has the host."""
        parts = urlsplit(url)
        if self._bypasses(parts.hostname or ""):
            return self._direct
        return self._proxies.get(parts.scheme, self._direct)


def _start(response: "urllib3.BaseHTTPResponse", asked: int) -> int:
    """Where the answer begins; a server may ignore Range (RFC 9110, 14.2)."""
    if response.status in _GONE:
        raise GoneError(f"HTTP {response.status}")
    if response.status == 200:
        return 0
    if response.status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {asked}-"):
        return asked
    raise TransientError(f"HTTP {response.status}")


def _chunks(response: "urllib3.BaseHTTPResponse") -> Iterator[bytes]:
    with _transient():
        yield from response.stream(_CHUNK, decode_content=False)


@contextmanager
def _transient() -> Iterator[None]:
    from urllib3.exceptions import HTTPError  # noqa: PLC0415 slow to import

    try:
        yield
    except HTTPError as error:
        raise TransientError(str(getattr(error, "reason", error))) from None


@contextmanager
def _open_file(url: str, start: int) -> Iterator[Answer]:
    try:
        file = open(unquote(urlsplit(url).path), "rb")  # noqa: SIM115, PTH123 (closed below)
    except OSError as error:
        raise GoneError(os.strerror(error.errno or 0)) from None
    with file:
        file.seek(start)
        yield Answer(start, iter(lambda: file.read(_CHUNK), b""))


def _proxy(url: str, options: Any) -> "urllib3.ProxyManager":
    import urllib3  # noqa: PLC0415 slow to import

    parts = urlsplit(url if "://" in url else f"http://{url}")
    if parts.scheme not in _SCHEMES or not parts.hostname:
        raise KnitterError(
            f"knitter cannot use a proxy of the kind {parts.scheme}://",
            hint="set http_proxy and https_proxy to http://...",
        )
    login = f"{unquote(parts.username)}:{unquote(parts.password or '')}" if parts.username else None
    headers = urllib3.make_headers(proxy_basic_auth=login) if login else None
    address = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    return urllib3.ProxyManager(address, proxy_headers=headers, **options)
