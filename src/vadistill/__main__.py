"""``python -m vadistill`` is the same as ``vadistill``."""

import sys

from vadistill.cli import main

if __name__ == "__main__":
    sys.exit(main())
