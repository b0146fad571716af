"""Streamlit's own command, kept from asking the internet who we are.

When a page of another origin tries to connect, Streamlit compares that origin with this machine's external
address, which it asks checkip.amazonaws.com for. We serve 127.0.0.1 alone: no external address is ours.
"""

from __future__ import annotations

from streamlit import net_util
from streamlit.web.cli import main

__all__ = ["no_external_address"]


def no_external_address() -> None:
    """What Streamlit is told instead."""
    return


if __name__ == "__main__":
    net_util.get_external_ip = no_external_address
    main(prog_name="streamlit")
