"""Plain HTTP connections to AWS's endpoints, for what is too frequent or too small for boto3."""

import http.client
import os
import ssl
import urllib.request
from typing import Final
from urllib.parse import SplitResult, urlsplit

import knitter
from knitter.errors import CloudError

USER_AGENT: Final = f"knitter/{knitter.__version__}"
_PORTS: Final = {"http": 80, "https": 443}


def host_header(url: str) -> str:
    """The Host header for *url*: with the port only if it is not the scheme's own, as signatures want it."""
    parts = _split(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    return host if parts.port in {None, _PORTS[parts.scheme]} else f"{host}:{parts.port}"


def connection(url: str, *, timeout: float) -> http.client.HTTPConnection:
    """A connection, not yet open, to the scheme, host and port of *url*.

    As botocore does: through HTTPS_PROXY or HTTP_PROXY unless NO_PROXY names the host, trusting AWS_CA_BUNDLE if set.
    http.client sets TCP_NODELAY itself.
    """
    parts = _split(url)
    host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
    proxy = None if urllib.request.proxy_bypass(host) else urllib.request.getproxies().get(parts.scheme)
    if proxy and parts.scheme == "http":
        raise CloudError(f"a proxy for plain HTTP is not supported: {proxy}", hint=f"add {host} to NO_PROXY")
    through = urlsplit(proxy) if proxy else parts
    if parts.scheme == "http":
        return http.client.HTTPConnection(host, port, timeout=timeout)
    opened = http.client.HTTPSConnection(
        through.hostname or "", through.port or port, timeout=timeout, context=_trust()
    )
    if proxy:
        opened.set_tunnel(host, port)
    return opened


def _trust() -> ssl.SSLContext:
    bundle = os.environ.get("AWS_CA_BUNDLE") or None
    try:
        return ssl.create_default_context(cafile=bundle)
    except OSError as error:
        raise CloudError(f"AWS_CA_BUNDLE cannot be used: {bundle}", details=str(error)) from None


def _split(url: str) -> SplitResult:
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname:
        raise CloudError(f"not an endpoint: {url!r}", hint="`endpoint` in .doit.cfg is a URL: http(s)://host:port")
    return parts
