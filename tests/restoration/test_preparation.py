"""One preparation for everything that runs a network: measured once, checked at the call."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers import float_noise, model_of, small_network

from napari_aeanet.core import intensity
from napari_aeanet.core.image import Image
from napari_aeanet.core.intensity import Normalisation, NormalisationKind
from napari_aeanet.core.progress import Progress
from napari_aeanet.io.files import write_image
from napari_aeanet.models.model_file import save_model
from napari_aeanet.relevance.influence import difference_events, query_moments, ranking_events
from napari_aeanet.relevance.run import relevance_events, relevance_maps
from napari_aeanet.relevance.settings import RelevanceMaps, RelevanceSettings
from napari_aeanet.restoration import prepare, restore_prepared, tile_runner
from napari_aeanet.restoration.run import restore, restore_events
from napari_aeanet.restoration.settings import Output, RestoreSettings, Use
from napari_aeanet.trust.run import trust_events, trust_maps
from napari_aeanet.trust.settings import TrustMaps, TrustSettings

FLOAT = RestoreSettings(output=Output.FLOAT32, tile=16)


@pytest.fixture(scope="module")
def model():
    normalisation = Normalisation(kind=NormalisationKind.PERCENTILE)
    return model_of(small_network("aeanet-2d", features=2), normalisation=normalisation)


def image_of(shape=(40, 48)):
    return Image(float_noise(shape), "YX", name="S05")


RUNS = {
    "restore": lambda image, model: restore_events(image, model, FLOAT),
    "relevance": lambda image, model: relevance_events(image, model, RelevanceSettings(tile=16)),
    "ranking": lambda image, model: ranking_events(image, model, RelevanceSettings(tile=16)),
    "difference": lambda image, model: difference_events(image, model, [1]),
    "trust": lambda image, model: trust_events(image, model, TrustSettings(tile=16)),
}
every_run = pytest.mark.parametrize("run", RUNS.values(), ids=RUNS.keys())


@pytest.fixture
def measured(monkeypatch):
    """The images whose percentiles were measured."""
    found = []
    plain = intensity.percentiles
    monkeypatch.setattr(
        intensity, "percentiles", lambda image, which: found.append(image) or plain(image, which)
    )
    return found


@pytest.fixture
def released(monkeypatch):
    """The devices whose memory was given back."""
    found = []
    monkeypatch.setattr(tile_runner, "release_memory", found.append)
    return found


@every_run
def test_percentiles_are_measured_once(model, measured, run):
    list(run(image_of(), model))
    assert len(measured) == 1


def test_an_image_that_was_prepared_is_measured_once_however_often_it_is_restored(model, measured):
    prepared = prepare(image_of(), model, FLOAT)
    assert not measured
    prepared.workload()
    assert not measured
    *_, first = restore_prepared(prepared)
    *_, second = restore_prepared(prepared)
    assert len(measured) == 1
    np.testing.assert_array_equal(first.image.read(), second.image.read())


def test_every_channel_is_measured_once(model, measured):
    stack = Image(float_noise((2, 3, 20, 24)), "CZYX")
    list(restore_events(stack, model, FLOAT))
    assert [image.shape for image in measured] == [(1, 3, 20, 24)] * 2


@every_run
def test_memory_of_the_device_is_given_back_at_the_end(model, released, run):
    list(run(image_of(), model))
    assert released
    assert set(released) == {torch.device("cpu")}


@every_run
def test_memory_of_the_device_is_given_back_after_a_stop(model, released, run):
    work = run(image_of(), model)
    next(work)
    assert not released
    work.close()
    assert len(released) == 1


def test_memory_of_the_device_is_given_back_after_an_error(model, released, monkeypatch):
    def broken(*_):
        raise RuntimeError("something else")

    monkeypatch.setattr(tile_runner.TileRunner, "_predicted", broken)
    with pytest.raises(RuntimeError, match="something else"):
        list(restore_events(image_of(), model, FLOAT))
    assert len(released) == 1


# --- arguments


@every_run
def test_an_image_that_does_not_suit_is_refused_at_the_call(model, run):
    with pytest.raises(ValueError, match="holds no pixels"):
        run(Image(np.zeros((0, 5)), "YX"), model)


def test_an_existing_file_is_refused_at_the_call(model, tmp_path):
    (tmp_path / "S05.ome.zarr").mkdir()
    with pytest.raises(FileExistsError, match="choose another name"):
        restore_events(image_of(), model, FLOAT, out=tmp_path / "S05.ome.zarr")


@pytest.mark.parametrize("events", [relevance_events, trust_events])
def test_a_network_that_needs_patches_is_refused_for_whole_images(events):
    network = small_network("gvtnet-2d", features=2)
    config = replace(network.config, normalisation="softmax")
    softmax = model_of(type(network)(config))
    with pytest.raises(ValueError, match="miniature: this kind of network can only be applied"):
        events(image_of(), softmax)


# --- blocking functions


def test_an_array_is_restored_to_an_array_and_an_image_to_an_image(model):
    *_, expected = restore_events(image_of(), model, FLOAT)
    array = restore(image_of().array, model, FLOAT)
    assert type(array) is np.ndarray
    np.testing.assert_array_equal(array, expected.image.read())
    found = restore(image_of(), model, FLOAT)
    assert isinstance(found, Image)
    np.testing.assert_array_equal(found.read(), array)


def test_files_are_restored_and_remarks_come_with_the_result(tmp_path):
    network = small_network("aeanet-2d", features=2)
    save_model(model_of(network, pixel_size=(5.0, 5.0), unit="nm"), tmp_path / "m.aeanet")
    write_image(image_of(), tmp_path / "S05.tif")
    found = restore(tmp_path / "S05.tif", str(tmp_path / "m.aeanet"), out=tmp_path / "S.ome.zarr")
    assert found.source == tmp_path / "S.ome.zarr"
    assert found.shape == (40, 48)
    assert any("pixel size" in notice for notice in found.notices)


def test_progress_is_reported_to_a_function(model):
    seen = []
    restore(image_of(), model, FLOAT, progress=seen.append)
    assert all(isinstance(progress, Progress) for progress in seen)
    assert seen[-1].done == seen[-1].total


@pytest.mark.parametrize(
    ("source", "error", "complaint"),
    [
        (3, TypeError, r"source must be Image, an array .* or a path, got int"),
        (np.zeros((2, 2, 2, 2)), ValueError, r"Image\(array, axes\)"),
        (np.array([["a"]]), ValueError, "array of numbers"),
    ],
)
def test_sources_of_other_kinds_are_refused(model, source, error, complaint):
    for function in (restore, relevance_maps, trust_maps):
        with pytest.raises(error, match=complaint):
            function(source, model)


def test_relevance_and_trust_return_their_maps(model):
    maps = relevance_maps(image_of().array, model, RelevanceSettings(tile=16))
    assert isinstance(maps, RelevanceMaps)
    assert maps.maps.shape == (5, 10, 12)
    found = trust_maps(image_of(), model, TrustSettings(tile=16, symmetries=False))
    assert isinstance(found, TrustMaps)
    assert found.restored.shape == (40, 48)


# --- precision


def test_sums_in_float64_are_made_on_the_host():
    class OnAppleGpu:
        """A query map on a device without float64."""

        def flatten(self, _):
            return self

        def double(self):
            pytest.fail("float64 on the device")

        def cpu(self):
            return torch.arange(6.0).reshape(2, 3)

    class Pending:
        def query(self):
            return [OnAppleGpu()]

    found = query_moments(Pending())
    assert found.dtype == torch.float64
    np.testing.assert_array_equal(found, [[5, 14], [14, 50]])


class Claimed:
    """An array that is nothing but a size, as that of a small file may be."""

    shape, ndim, dtype = (2**36, 2**36), 2, np.dtype(np.uint8)

    def __getitem__(self, region):
        raise AssertionError("no pixel is read")


@pytest.mark.parametrize("settings", [{"tile": 32}, {"use": Use.PATCHES, "patch_size": 64}, {}])
def test_an_image_of_more_tiles_than_can_be_listed_is_refused_at_once(settings, model):
    chosen = RestoreSettings(range=(0, 255), **settings)
    with pytest.raises(ValueError, match=r"^S05 would be restored in .* tiles.*image\.$"):
        prepare(Image(Claimed(), "YX", name="S05"), model, chosen)


def prepared_plane(preset, memory):
    """A large plane without memory, prepared for a network of the published width."""
    image = Image(np.broadcast_to(np.uint8(0), (1536, 1536)), "YX", name="S05")
    return prepare(
        image, model_of(small_network(preset, features=32)), RestoreSettings(memory=memory)
    )


def test_tiles_of_a_network_on_blocks_of_pixels_are_larger():
    """Its maps are smaller, and so is the share of the halo."""
    plain, fast = (prepared_plane(name, 3.0) for name in ("aeanet-2d", "aeanet-2d-fast"))
    assert [len(plain.layout.tiles), len(fast.layout.tiles)] == [16, 4]


def test_waiting_tiles_of_a_plane_take_little_memory_unless_more_is_given():
    assert prepared_plane("aeanet-2d", 0.0).workload()[1] < 0.5e9
    assert prepared_plane("aeanet-2d", 3.0).workload()[1] > 0.7e9


@pytest.mark.parametrize(("gain", "is_said"), [({"psnr": -13.6}, True), ({"psnr": 0.8}, False)])
@pytest.mark.parametrize("name", ["restore", "relevance", "difference", "trust"])
def test_a_model_that_was_no_better_than_its_input_is_named(model, name, gain, is_said):
    worse = replace(model, card=replace(model.card, gain=gain))
    said = [text for text in list(RUNS[name](image_of(), worse))[-1].notices if "dB" in text]
    sentence = (
        f"In its training, the result of {model.card.name} was worse than its input by 13.6 dB: "
        "train another model before you rely on it."
    )
    assert said == [sentence] * is_said
