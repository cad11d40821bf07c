"""A screen for each process that runs tests: of all windows on a screen, one has the focus."""

import os
import shutil
import subprocess

#: Large enough for napari with its docks.
SCREEN = ("-screen", "0", "1600x1200x24", "-nolisten", "tcp")


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
