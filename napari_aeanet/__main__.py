"""Entry point of `python -m napari_aeanet`, the same as `napari-aeanet`."""

import sys

from napari_aeanet.cli import main

if __name__ == "__main__":
    sys.exit(main())
