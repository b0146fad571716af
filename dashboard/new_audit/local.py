"""Whether this page may start anything: only for somebody who sits at this machine.

Four things must hold. The server listens on the loopback address. The browser asked it by a name of
loopback, and through no proxy: else people elsewhere may stand behind it. The page that opened the connection
is ours, by its Origin, port included: Streamlit itself admits pages of any server on this machine, and of
origins that bear this machine's own addresses. And the browser sends our cookie, which is SameSite=Lax: it
does not where another site shows our page inside its own, to have its visitors press our buttons unawares.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import streamlit as st

from raiaudit.dashboard.jobs.process import SUPPORTED

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

__all__ = ["obstacle", "obstacle_here"]

_COOKIE = "_streamlit_xsrf"
_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")


def obstacle_here() -> str | None:
    """Why this session may not start anything, in a sentence; None if it may."""
    headers = {name.lower(): value for name, value in st.context.headers.items()}
    return obstacle(st.get_option("server.address"), headers, st.context.cookies)


def obstacle(address: str | None, headers: Mapping[str, str], cookies: Collection[str]) -> str | None:
    """The same, of a server's address and of the headers (lower-case names) and cookies of a session."""
    if not SUPPORTED:
        return "Starting audits from here is not supported on this system."
    if not _is_loopback(address or ""):
        return "This dashboard can be reached from other machines, so it only reads."
    if any(name in headers for name in _FORWARDED):
        return "This dashboard is reached through a proxy, so it only reads."
    host, origin = headers.get("host", ""), headers.get("origin", "")
    if not _is_loopback(urlsplit(f"//{host}").hostname or ""):
        return "This dashboard was not asked for as localhost or 127.0.0.1, so it only reads."
    if origin not in (f"http://{host}", f"https://{host}"):
        return "Another page opened this connection, so it only reads."
    if _COOKIE not in cookies:
        return "This page stands inside another site's page, or cookies are off, so it only reads."
    return None


def _is_loopback(name: str) -> bool:
    if name.lower() == "localhost":
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False
