"""What all GUI tests share: a real viewer, a home of their own, and nothing left behind."""

import gc
from dataclasses import replace
from functools import cache

import pytest
from napari.utils.notifications import notification_manager
from npe2 import PluginManager
from qtpy.QtCore import QMimeData, QPointF, Qt, QUrl
from qtpy.QtGui import QDropEvent
from qtpy.QtWidgets import QPushButton
from superqt.utils import WorkerBase

from napari_aeanet.gui.common import session as session_module
from napari_aeanet.gui.common.dock import open_dock
from napari_aeanet.gui.common.job import COULD_NOT_SHOW
from napari_aeanet.gui.common.session import session_of
from napari_aeanet.gui.restore import cost_line
from napari_aeanet.gui.train import dock as train_dock
from napari_aeanet.models.model_file import Model, ModelCard, save_model
from napari_aeanet.networks import UNetConfig, config_to_json
from napari_aeanet.networks.device import DeviceInfo

TINY = UNetConfig(features=4, references=6, zero_output=True, offset=True)
CARD = ModelCard(
    name="tiny",
    preset="aeanet-2d",
    network=config_to_json(TINY),
    ratio=(2.0, 2.0),
    pixel_size=(5.0, 5.0),
    unit="nm",
    gain={"psnr": 2.1, "ssim": 0.06},
)


@pytest.fixture(autouse=True, scope="session")
def plugins_are_found_once():
    """napari looks for plugins once, and not again for the viewer of every test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PluginManager, "discover", cache(PluginManager.discover))
        yield


@pytest.fixture(autouse=True, scope="module")
def nothing_frozen():
    """Objects that tests of other modules have frozen, and left, are collected."""
    gc.unfreeze()
    gc.collect()


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A home without models, and no process that is started to find devices."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setattr(session_module, "demo_model", lambda: tmp_path / "no-demo.aeanet")
    monkeypatch.setattr(
        train_dock, "probe_devices", lambda: [DeviceInfo("cpu", "CPU, 2 cores", 2**34, 2**33)]
    )
    # Estimates load torch and run the model: a test that wants one asks for it.
    monkeypatch.setattr(cost_line, "ESTIMATE_AFTER_MS", 10_000_000)
    return tmp_path


@pytest.fixture(autouse=True)
def no_worker_is_left(qapp):
    yield
    WorkerBase.await_workers(10_000)
    qapp.processEvents()  # workers leave their set by a signal
    assert not WorkerBase._worker_set


@pytest.fixture
def viewer(make_napari_viewer, qtbot):
    notification_manager.records.clear()
    # napari collects garbage at every removed layer: not among the modules and caches of before.
    gc.collect()
    gc.freeze()
    made = make_napari_viewer(strict_qt="raise")
    yield made
    # A job goes on when what shows it fails; a test does not.
    assert not [r.message for r in notification_manager.records if COULD_NOT_SHOW in r.message]
    # Closed here, so that what Qt deletes later is gone when leaks are looked for.
    WorkerBase.await_workers(10_000)
    made.close()
    del made
    qtbot.wait(20)
    gc.collect()
    qtbot.wait(20)


@pytest.fixture
def session(viewer):
    return session_of(viewer)


@pytest.fixture
def told():
    """What was told to the user since the viewer was made."""
    return lambda: [record.message for record in notification_manager.records]


@pytest.fixture
def dock(viewer):
    return lambda tab: open_dock(viewer, tab)


@pytest.fixture
def click(qtbot):
    """Click a button by its object name, as a user would: only where it is enabled."""
    done = []

    def act(widget, name):
        button = widget.findChild(QPushButton, name)
        assert button is not None, f"no button {name}"
        assert button.isEnabled(), f"{name} cannot be clicked: {button.toolTip()}"
        done.append(name)
        button.click()

    act.done = done
    return act


@pytest.fixture
def finish(qtbot):
    """Wait until the job of a session has ended, and everything about it is told."""

    def wait(session, seconds=30):
        qtbot.waitUntil(lambda: not session.is_busy, timeout=1000 * seconds)

    return wait


@pytest.fixture
def drop(qtbot):
    """Drop files on a dock, and wait until their images are open."""

    def act(dock, *paths):
        data = QMimeData()
        data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
        arguments = (Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton)
        dock.dropEvent(QDropEvent(QPointF(5, 5), *arguments, Qt.KeyboardModifier.NoModifier))
        qtbot.waitUntil(lambda: not dock.session.beside, timeout=10_000)

    return act


@pytest.fixture
def card():
    return CARD


@pytest.fixture
def card_file(tmp_path):
    """A model file to choose from; it has a card and no weights."""

    def write(name="tiny", **changes):
        path = tmp_path / f"{name}.aeanet"
        save_model(Model(replace(CARD, name=name, **changes), {}), path)
        return path

    return write


@pytest.fixture
def model_file(tmp_path):
    """A model file with a network: it enlarges twice, and changes nothing else."""
    from napari_aeanet.networks import build

    state = build(TINY).state_dict()
    path = tmp_path / "real.aeanet"
    save_model(Model(CARD, {k: v.numpy() for k, v in state.items()}), path)
    return path


@pytest.fixture
def projection_file(tmp_path):
    """A model file with a network that projects stacks."""
    from napari_aeanet.networks import ProjectionConfig, build

    config = ProjectionConfig(image=TINY, references=6)
    state = build(config).state_dict()
    card = replace(
        CARD,
        name="projector",
        network=config_to_json(config),
        ratio=(1.0, 1.0, 1.0),
        pixel_size=(None, 10.0, 10.0),
    )
    path = tmp_path / "projector.aeanet"
    save_model(Model(card, {k: v.numpy() for k, v in state.items()}), path)
    return path
