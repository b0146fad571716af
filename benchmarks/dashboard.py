"""The dashboard over a large home: seconds to the first content and to rest, memory of the server.

    python benchmarks/dashboard.py [--runs 200] [--examples 100000] [--home DIR]
                                   [--turns 3] [--pages overview …] [--json]

A synthetic home (`dashboard_home.py`) is served as `raiaudit view` serves it, and read with Chromium. *Cold*
is the first page of a server that has read nothing yet; *warm* a fresh tab later, the middle of `--turns`.
First content is what the page is opened for: the verdict matrix, a run's gates, a model. Rest: everything is
drawn and the script has ended. CPU is what the server computed for the visit, which a busy machine hardly
changes, beside the time that went by, browser included. Memory is the largest resident size the server has
had. Playwright and a `chromium` on the PATH are needed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common import machine, versions
from dashboard_home import write_home
from playwright.sync_api import Browser, sync_playwright

SWITCHES = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")
SERVE = (
    "import sys; from pathlib import Path; from raiaudit.dashboard.launch import serve; "
    "sys.exit(serve(Path(sys.argv[1]), port=None, open_browser=False))"
)
REST = """() => !document.querySelector('[data-testid=stSkeleton], [data-testid=stStatusWidget]')
  && document.querySelector('[data-testid=stApp]')?.dataset.testScriptState === 'notRunning'"""
# Page: address and what it is opened for.
PAGES = {
    "overview": ("", "table.ra-table"),
    "run": ("run?run={run}", "table.ra-table"),
    "run, robustness": ("run?run={run}&pillar=Robustness", "[role=tabpanel] table.ra-table"),
    "models": ("models", "h3"),
    "evidence map": ("evidence?run={run}", "table.ra-table"),
}


def visit(browser: Browser, url: str, wanted: str, server: int) -> tuple[float, float, float]:
    """Seconds from typing the address to the first content, and to rest; of the processor, by the server."""
    before = cpu(server)
    page = browser.new_context(viewport={"width": 1360, "height": 900}).new_page()
    began = time.perf_counter()
    page.goto(url)
    page.locator(wanted).first.wait_for(timeout=120_000)
    first = time.perf_counter() - began
    page.wait_for_function(REST, timeout=120_000)
    rest = time.perf_counter() - began
    page.context.close()
    return first, rest, cpu(server) - before


def child(parent: int) -> int:
    """The server's own process, below the one that started it."""
    return int(Path(f"/proc/{parent}/task/{parent}/children").read_text().split()[0])


def cpu(process: int) -> float:
    """Seconds of the processor it has used."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(process: int) -> float:
    """The largest resident size of the server so far, in MB."""
    status = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))


def measure(home: Path, run: str, turns: int, pages: Sequence[str]) -> dict[str, Any]:
    """Every page cold (its own server) and warm."""
    found: dict[str, Any] = {}
    with sync_playwright() as playwright:
        chromium = shutil.which("chromium") or shutil.which("chromium-browser")
        browser = playwright.chromium.launch(executable_path=chromium, args=list(SWITCHES))
        for name in pages:
            address, wanted = PAGES[name]
            server = subprocess.Popen(
                [sys.executable, "-c", SERVE, str(home)], stdout=subprocess.PIPE, text=True
            )
            try:
                assert server.stdout is not None
                server.stdout.readline()
                url = f"{server.stdout.readline().strip()}/{address.format(run=run)}"
                process = child(server.pid)
                cold = visit(browser, url, wanted, process)
                warm = [visit(browser, url, wanted, process) for _ in range(turns)]
                found[name] = {
                    "cold": cold,
                    "warm": tuple(statistics.median(each) for each in zip(*warm, strict=True)),
                    "MB": memory(process),
                }
            finally:
                server.terminate()
                server.wait(timeout=20)
        browser.close()
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--examples", type=int, default=100_000)
    parser.add_argument("--home", type=Path, help="where to make the home, or one made before")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--pages", nargs="+", choices=list(PAGES), default=list(PAGES))
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        root = asked.home or Path(scratch) / "home"
        if not (root / "runs").is_dir():
            write_home(root, runs=asked.runs, examples=asked.examples)
        found = measure(root, "digits-cnn-0000", asked.turns, asked.pages)
    if asked.json:
        line = {"name": "dashboard", "pages": found, "machine": machine(), "seed": 0}
        print(json.dumps(line | {"versions": versions(("streamlit", "polars"))}))
        return
    print(f"dashboard, {asked.runs} runs, {asked.examples} examples: {machine()}")
    print(
        f"{'':<20}{'cold: first':>12}{'rest':>8}{'CPU':>8}{'warm: first':>13}{'rest':>8}{'CPU':>8}{'MB':>8}"
    )
    for name, row in found.items():
        numbers = "".join(f"{a:>12.2f}{b:>8.2f}{c:>8.2f}" for a, b, c in (row["cold"], row["warm"]))
        print(f"{name:<20}{numbers}{row['MB']:>8.0f}")


if __name__ == "__main__":
    main()
