"""Under which address a client reaches this server, and which one is the client's own, also through a proxy.

A proxy says for whom it asks in the header X-Forwarded-For, which anybody may write: it counts only from a proxy that
the operator has named (`--proxy`), of which uvicorn takes it before anything here sees the request.
"""

import logging
import re
from collections.abc import Mapping, MutableMapping
from functools import cache
from ipaddress import IPv6Network, ip_address
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from dalle2.serving.api.options import is_loopback

PROXIED = {"forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip"}
HOST = re.compile(r"[\w.-]+(:\d+)?|\[[0-9A-Fa-f:.]+\](:\d+)?", re.ASCII)
NETWORK_BITS = 64  # of an IPv6 address: who has one address of such a network has all of them

log = logging.getLogger("dalle2.api")


def scheme(scope: MutableMapping[str, Any], headers: Headers) -> str:
    """Return "http" or "https", as the client's side of a proxy has it."""
    told = headers.get("x-forwarded-proto", scope.get("scheme", "http")).split(",")[0].strip().lower()
    return told if told in ("http", "https") else "http"


def host_of(url: str) -> str:
    """Return the host that a URL names, without its port; "" for none, and for what is no URL."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def address(scope: MutableMapping[str, Any]) -> str:
    """Return the server's address with the path under which it is mounted, without a slash at its end."""
    headers = Headers(scope=scope)
    root = scope.get("app_root_path", scope.get("root_path", ""))
    if root.startswith("http"):
        return root.rstrip("/")
    told = (headers.get("x-forwarded-host", "").split(",")[0].strip(), headers.get("host", ""))
    host = next((name for name in told if HOST.fullmatch(name)), "localhost")
    return f"{scheme(scope, headers)}://{host}{root}".rstrip("/")


def client_of(scope: MutableMapping[str, Any]) -> str:
    """Return the address that a request comes from, "" where the server does not know it."""
    return (scope.get("client") or ("",))[0]


def asker(client: str) -> str:
    """Return what the limits of this address are counted by: itself, or the network of an IPv6 address."""
    try:
        found = ip_address(client)
    except ValueError:
        return client[:64]
    if found.version == 4 or found.is_loopback:
        return str(found)
    return str(found.ipv4_mapped or IPv6Network((int(found), NETWORK_BITS), strict=False))


def sits_here(client: str, headers: Mapping[str, str]) -> bool:
    """Whether who asks sits at this machine; not where a proxy on it asks for others."""
    proxied = any(name in headers for name in PROXIED)
    if proxied and _is_unnamed_proxy(client, headers):
        _tell_of_proxy()
    return is_loopback(client) and not proxied


def _is_unnamed_proxy(client: str, headers: Mapping[str, str]) -> bool:
    """Whether a request with a proxy's headers comes from this machine or network, and not for whom a named one asks.

    For such a one the client is whom the header names.
    """
    if is_loopback(client):
        return True
    named = {name.strip() for name in headers.get("x-forwarded-for", "").split(",")}
    try:
        return client not in named and ip_address(client).is_private
    except ValueError:
        return False


@cache
def _tell_of_proxy() -> None:
    """Say it once."""
    log.warning(
        "Requests come through a proxy on this machine or network: unless its address is named, as by --proxy "
        "127.0.0.1, all that it asks for counts as one visitor's."
    )
