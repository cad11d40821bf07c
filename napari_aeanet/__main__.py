"""`python -m napari_aeanet` is `napari-aeanet`."""

import sys

from napari_aeanet.cli import main

if __name__ == "__main__":
    sys.exit(main())
