"""`python -m raiaudit` is the `raiaudit` command."""

from raiaudit.cli import main

main()
