"""Give every process that runs tests its share of the processors, and a screen of its own.

Of all windows on a screen, one has the focus.
"""

import os
import shutil
import subprocess

#: Large enough for napari with its docks.
SCREEN = ("-screen", "0", "1600x1200x24", "-nolisten", "tcp")

# numba, which napari's labels use, sets the number of threads of torch too: processes side by side,
# each with as many threads as processors, are several times slower.
if threads := os.environ.get("OMP_NUM_THREADS"):
    os.environ.setdefault("NUMBA_NUM_THREADS", threads)


def pytest_configure(config):
    """Start a virtual screen for a process beside others, where there is X."""
    is_alone = not hasattr(config, "workerinput")
    if is_alone or "DISPLAY" not in os.environ or shutil.which("Xvfb") is None:
        return
    ready, tell = os.pipe()
    screen = subprocess.Popen(
        ["Xvfb", "-displayfd", str(tell), *SCREEN], pass_fds=[tell], stderr=subprocess.DEVNULL
    )
    os.close(tell)
    with os.fdopen(ready) as told:
        number = told.readline().strip()  # once it takes windows; nothing if it could not start
    if number:
        os.environ["DISPLAY"] = f":{number}"
        os.environ.pop("XAUTHORITY", None)
    config.add_cleanup(lambda: (screen.terminate(), screen.wait()))
