"""Under which address a client reaches this server, also through a proxy."""

from collections.abc import MutableMapping
from typing import Any

from starlette.datastructures import Headers


def scheme(scope: MutableMapping[str, Any], headers: Headers) -> str:
    """Return "http" or "https", as the client's side of a proxy has it."""
    return headers.get("x-forwarded-proto", scope.get("scheme", "http")).split(",")[0].strip()


def address(scope: MutableMapping[str, Any]) -> str:
    """Return the server's address with the path under which it is mounted, without a slash at its end."""
    headers = Headers(scope=scope)
    root = scope.get("app_root_path", scope.get("root_path", ""))
    if root.startswith("http"):
        return root.rstrip("/")
    host = headers.get("x-forwarded-host", headers.get("host", "localhost"))
    return f"{scheme(scope, headers)}://{host}{root}".rstrip("/")
