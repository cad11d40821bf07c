"""Trust, relevance and structures on workers of dask: the maps of one process, bit for bit."""

import os
import signal
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from helpers import float_noise, model_of, small_network, with_random_structures

from napari_aeanet.cli import main
from napari_aeanet.cluster import on_workers_events
from napari_aeanet.core.image import Image
from napari_aeanet.core.progress import Progressed
from napari_aeanet.io import read_image, write_image
from napari_aeanet.models import load_model, save_model
from napari_aeanet.models.feature_distance import FeatureMoments, with_edge
from napari_aeanet.relevance import RelevanceSettings, relevance_events
from napari_aeanet.structures import StructureSettings, structure_events
from napari_aeanet.trust import TrustSettings, trust_events

pytest.importorskip("distributed")
pytestmark = pytest.mark.filterwarnings("ignore")  # of dask, about its own processes

SHAPE = (66, 98)


@pytest.fixture
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def folder(tmp_path, one_thread):
    """A folder with an image, and a model that knows its training and some structures."""
    network = small_network("aeanet-2d", features=2)
    gathering = FeatureMoments()
    with torch.no_grad():
        features = network.attend(torch.from_numpy(float_noise((1, 1, 64, 96))))
    gathering.add(features.interior_features()[0].numpy())
    known = gathering.finish()
    known = with_edge(known, known.distance(features.interior_features()[0].numpy()).ravel())
    model = replace(model_of(network), statistics=known.to_arrays())
    model = with_random_structures(model)
    save_model(model, tmp_path / "m.aeanet")
    write_image(Image(float_noise(SHAPE), "YX"), tmp_path / "a.ome.zarr")
    return tmp_path


def last_of(events, pids=()):
    """Return the last event; one of some processes is killed after the second step."""
    pids, steps = list(pids), 0
    for event in events:
        steps += isinstance(event, Progressed)
        if steps == 2 and pids:
            os.kill(pids[0], signal.SIGKILL)
            pids.clear()
    assert steps > 2
    return event


def both(begin, settings, pids=()):
    return last_of(on_workers_events(begin, settings), pids), last_of(begin())


def test_trust_is_that_of_one_process_with_a_worker_killed(folder, settings, workers):
    image, model = folder / "a.ome.zarr", folder / "m.aeanet"
    begin = partial(trust_events, image, model, TrustSettings(tile=32, device="cpu"))
    two, one = both(begin, settings, workers.run(os.getpid).values())
    assert {"disagreement", "unlike", "contradiction"} <= set(one.maps) == set(two.maps)
    np.testing.assert_array_equal(two.restored.read(), one.restored.read())
    for name, values in one.maps.items():
        np.testing.assert_array_equal(two.maps[name], values)
        assert values.any() or name == "contradiction"  # which such a small image hardly has
    assert (two.summary, two.notices) == (one.summary, one.notices)


def test_relevance_is_that_of_one_process(folder, settings):
    chosen = RelevanceSettings(tile=32, device="cpu")
    begin = partial(relevance_events, folder / "a.ome.zarr", folder / "m.aeanet", chosen)
    two, one = both(begin, settings)
    np.testing.assert_array_equal(two.maps, one.maps)
    assert one.maps.any()


def test_structures_are_those_of_one_process(folder, settings):
    chosen = StructureSettings(tile=32, device="cpu")
    begin = partial(structure_events, folder / "a.ome.zarr", folder / "m.aeanet", chosen)
    two, one = both(begin, settings)
    np.testing.assert_array_equal(two.maps, one.maps)
    assert one.maps.any()


def test_commands_compute_maps_on_workers(folder, settings, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    words = ["a.ome.zarr", "-m", "m.aeanet", "--tile", "32"]
    dask = ["--dask", settings.dask, "--worker-threads", "1"]
    for command, result in (
        (["trust"], "a-trust.ome.tif"),
        (["relevance"], "a-relevance.ome.tif"),
        (["relevance", "--structures", "--probabilities"], "a-structures.ome.tif"),
    ):
        assert main([*command, *words, "-o", "two", *dask]) == 0
        assert "note: 2 workers" in capsys.readouterr().err
        assert main([*command, *words, "-o", "one"]) == 0
        found, expected = (read_image(folder / name / result).read() for name in ("two", "one"))
        np.testing.assert_array_equal(found, expected)
    assert main(["relevance", *words, "--table", *dask]) == 2
    assert "leave --at, --table and --change out" in capsys.readouterr().err


def test_images_and_models_that_are_no_files_are_refused(folder, settings):
    with pytest.raises(ValueError, match="save it"):
        on_workers_events(partial(trust_events, float_noise(SHAPE), folder / "m.aeanet"), settings)
    model = load_model(folder / "m.aeanet")
    events = on_workers_events(
        partial(relevance_events, folder / "a.ome.zarr", model_of(model.network())), settings
    )
    with pytest.raises(ValueError, match="save the model"):
        list(events)
