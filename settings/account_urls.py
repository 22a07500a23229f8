"""Parts of the URLs of accounts with an HTTP API."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from settings.errors import SettingsError
from settings.hosts import is_loopback

AWS_REGION = re.compile(r"[a-z]{2}(?:-[a-z]{2,12}){1,3}-\d{1,2}")
SECRET = re.compile(r"[!-~]{1,500}")  # it becomes the value of a header field


def endpoint_url(variable: str, given: str) -> str:
    """Return the value of the option `endpoint`, without a slash at the end."""
    wanted = "give https://host:port, or http:// for a host on this machine"
    try:
        parts = urlsplit(given)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise SettingsError(f"{variable} has a malformed endpoint: {wanted}") from None
    if parts.username or parts.password or parts.query or parts.fragment or not host:
        raise SettingsError(f"{variable} has an endpoint with a user or a query, or without a host: {wanted}")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(host)):
        raise SettingsError(f"{variable} has an endpoint that is not https: {wanted}")
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}{f':{port}' if port else ''}{parts.path.rstrip('/')}"
