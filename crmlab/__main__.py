"""``python -m crmlab`` is ``crmlab``."""

from crmlab.cli import main

main()
