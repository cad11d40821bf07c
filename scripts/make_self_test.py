"""Store the result that `napari-aeanet doctor` compares its self-test with.

    python scripts/make_self_test.py

To be run whenever the built-in model (scripts/make_demo_model.py) or a result on purpose changes.
"""

import numpy as np

from napari_aeanet.doctor.self_test import EXPECTED, restored_sample

if __name__ == "__main__":
    np.save(EXPECTED, restored_sample("cpu"))
    print(f"{EXPECTED}: {EXPECTED.stat().st_size} bytes")
