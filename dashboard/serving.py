"""Streamlit's own command, kept from asking the internet who we are, and ready for the first page.

The file that the variable `launch.UP` names is written once the port is ours: who waits for the server could
else be answered by another one, which took the port a moment before.

When a page of another origin tries to connect, Streamlit compares that origin with this machine's external
address, which it asks checkip.amazonaws.com for. We serve 127.0.0.1 alone: no external address is ours.
"""

from __future__ import annotations

import os
import sys
import time
from importlib import import_module
from pathlib import Path
from threading import Thread

from streamlit import net_util
from streamlit.runtime import Runtime, RuntimeState
from streamlit.web.cli import main

from raiaudit.dashboard.launch import UP
from raiaudit.dashboard.libraries import import_libraries

__all__ = ["no_external_address", "warm_up"]


_FIRST_PAGE_SECONDS = 4.0


def no_external_address() -> None:
    """What Streamlit is told instead."""
    return


def warm_up() -> None:
    """Say that the port is ours; import what the first page needs while the browser still loads."""
    # Streamlit binds its socket before it starts its runtime.
    while not Runtime.exists() or Runtime.instance().state is RuntimeState.INITIAL:
        time.sleep(0.02)
    if (path := os.environ.get(UP)) is not None:
        Path(path).touch()
    import_module("raiaudit.dashboard.audits.overview")
    # The libraries are for the pages after it: imported now, they would only hold it up.
    time.sleep(_FIRST_PAGE_SECONDS)
    import_libraries()


if __name__ == "__main__":
    net_util.get_external_ip = no_external_address
    Thread(target=warm_up, daemon=True).start()
    sys.exit(main(prog_name="streamlit"))
