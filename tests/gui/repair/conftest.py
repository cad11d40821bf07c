"""Fixtures of the tests of AEANet: Repair."""

from dataclasses import replace

import pytest

from napari_aeanet.core.progress import Progress
from napari_aeanet.gui.repair import dock as repair_dock
from napari_aeanet.gui.repair import quality_line
from napari_aeanet.gui.viewer.layers import image_to_layer
from napari_aeanet.repair import DamagedSlice, DamageFound, DamageKind, SliceMeasured
from napari_aeanet.samples.sections import SectionSettings, serial_sections

DAMAGED = (2, 5)
REASON = "fold: dark line 40 px long"


@pytest.fixture(scope="session")
def specimen():
    """Nine small sections; those in DAMAGED are blank."""
    made = serial_sections(seed=3, shape=(9, 64, 64), settings=SectionSettings(damaged=0)).stack
    pixels = made.read().copy()
    pixels[list(DAMAGED)] = 20
    return replace(made, array=pixels, origin=(100.0, 8.0, -4.0), name="block")


@pytest.fixture(autouse=True)
def unmeasured(monkeypatch):
    """No quality is measured unless a test asks for it: it takes seconds."""
    monkeypatch.setattr(quality_line, "MEASURE_AFTER_MS", 10_000_000)


@pytest.fixture
def found(monkeypatch):
    """Let the search propose slices without looking at the pixels."""

    def set_found(*indices):
        def events(image, _settings):
            count = image.shape[0]
            progress = Progress("looking", count, count)
            yield SliceMeasured(progress=progress, index=0)
            yield DamageFound(
                progress=progress,
                scores=tuple(8.0 if i in indices else 1.0 for i in range(count)),
                slices=tuple(
                    DamagedSlice(index=i, score=8.0, kind=DamageKind.FOLD, reason=REASON)
                    for i in indices
                ),
                limit=3.5,
            )

        monkeypatch.setattr(repair_dock, "find_damage_events", events)

    set_found(*DAMAGED)
    return set_found


@pytest.fixture
def repair(dock, found):
    made = dock("Repair")
    made.choices.more.set("checks", 0)
    return made


@pytest.fixture
def stack(viewer, repair, specimen):
    """The layer of the sections, which the dock chooses."""
    return viewer.add_layer(image_to_layer(specimen))


@pytest.fixture
def proposed(repair, stack, session, finish, click):
    """The dock after the search."""
    click(repair, "repair_run")
    finish(session)
    return repair


@pytest.fixture
def repaired(proposed, session, finish, click):
    """The dock after the repair of what was proposed."""
    click(proposed, "repair_run")
    finish(session)
    return proposed
