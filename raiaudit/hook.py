"""`raiaudit-validate FILE...`: the pre-commit hook. Says nothing of files that are right.

A file with "waiver" in its name is a list of waivers, any other is a spec. Exit codes: 0 all right · 2 some
are wrong, each named with line and key.
"""

from __future__ import annotations

import sys
from pathlib import Path

__all__ = ["main"]


def main() -> None:
    """Check every file that was named."""
    from raiaudit.audit.spec import load_spec
    from raiaudit.audit.waivers import load_waivers
    from raiaudit.cli import complain
    from raiaudit.errors import UsageError

    wrong = 0
    for path in map(Path, sys.argv[1:]):
        try:
            load_waivers(path) if "waiver" in path.name else load_spec(path)
        except UsageError as error:
            complain(str(error))
            wrong += 1
    sys.exit(2 if wrong else 0)


if __name__ == "__main__":
    main()
