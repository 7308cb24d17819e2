"""`python -m audiogen` is the `audiogen` command."""

import sys

from audiogen.cli import main

if __name__ == "__main__":
    sys.exit(main())
