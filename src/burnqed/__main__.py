"""`python -m burnqed`."""

from burnqed.cli.main import main

main()
