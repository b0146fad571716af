"""Streamlit's own command, kept from asking the internet who we are, and ready for the first page.

When a page of another origin tries to connect, Streamlit compares that origin with this machine's external
address, which it asks checkip.amazonaws.com for. We serve 127.0.0.1 alone: no external address is ours.
"""

from __future__ import annotations

import sys
import time
from importlib import import_module
from threading import Thread

from streamlit import net_util
from streamlit.runtime import exists
from streamlit.web.cli import main

__all__ = ["no_external_address", "warm_up"]

# What the overview needs, then its charts; the other pages need them too.
_NEEDED_FIRST = ("raiaudit.dashboard.audits.overview", "raiaudit.dashboard.figures")


def no_external_address() -> None:
    """What Streamlit is told instead."""
    return


def warm_up() -> None:
    """Import what the first page needs while the browser still loads Streamlit's own code."""
    while not exists():
        time.sleep(0.05)
    for name in _NEEDED_FIRST:
        import_module(name)


if __name__ == "__main__":
    net_util.get_external_ip = no_external_address
    Thread(target=warm_up, daemon=True).start()
    sys.exit(main(prog_name="streamlit"))
