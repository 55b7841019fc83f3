"""``python -m skcnn``: the command line."""

import sys

from skcnn._command import main

if __name__ == "__main__":
    sys.exit(main())
