"""Public functions take what users have, and refuse the rest at the call, in one sentence."""

import inspect
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import zarr
from helpers import float_noise, model_of, registration_pair, small_network, with_random_structures

import napari_aeanet as aeanet
from napari_aeanet import (
    AlignSettings,
    CalibrateSettings,
    Case,
    EvaluateSettings,
    ExportSettings,
    Image,
    ImagePair,
    Input,
    RegistrationSettings,
    RelevanceSettings,
    RestoreSettings,
    TrainSettings,
    TrustSettings,
    save_model,
    write_image,
)
from napari_aeanet.benchmark import BenchmarkSettings, benchmark, benchmark_events
from napari_aeanet.relevance import difference_events, ranking_events
from napari_aeanet.repair import DamageSettings, RepairSettings
from napari_aeanet.reproduction import reproduce, reproduce_events
from napari_aeanet.restoration.settings import Seams, Use
from napari_aeanet.structures import FitSettings, StructureSettings

dask = pytest.importorskip("dask.array")

PIXELS = float_noise((40, 48))
IMAGE = Image(PIXELS, "YX", name="S05")
PAIR = ImagePair(IMAGE, IMAGE)


@pytest.fixture(scope="module")
def model():
    return with_random_structures(model_of(small_network("aeanet-2d", features=2)))


def arguments(model, registration, folder: Path) -> dict[str, tuple[object, list[object]]]:
    """Every public function with good arguments, in their order."""
    restored = (IMAGE, model, RestoreSettings())
    related = (IMAGE, model, RelevanceSettings())
    trusted = (IMAGE, model, TrustSettings())
    evaluated = ([PAIR], [Input()], EvaluateSettings())
    trained = ([PAIR], TrainSettings(), folder / "run")
    placed = (IMAGE, registration, IMAGE)
    aligned = (Image(np.zeros((2, 40, 48), np.uint8), "ZYX"), AlignSettings())
    damaged = Image(np.zeros((3, 40, 48), np.uint8), "ZYX")
    repaired = (damaged, [1], RepairSettings())
    exported = (model, folder / "m.zip", ExportSettings())
    calls = {
        "align_stack": aligned,
        "align_stack_events": aligned,
        "find_damage": (damaged, DamageSettings()),
        "find_damage_events": (damaged, DamageSettings()),
        "insert_slices": (damaged, 1),
        "insert_slices_events": (damaged, 1),
        "preview_slice": (damaged, 1, [1], RepairSettings()),
        "repair_stack": repaired,
        "repair_stack_events": repaired,
        "restore": restored,
        "restore_events": restored,
        "relevance_maps": related,
        "relevance_events": related,
        "attention_map": (IMAGE, model, (3, 4), RelevanceSettings()),
        "attention_events": (IMAGE, model, (3, 4), RelevanceSettings()),
        "structure_maps": (IMAGE, model, StructureSettings()),
        "structure_events": (IMAGE, model, StructureSettings()),
        "fit_structures": (model, [PAIR], FitSettings()),
        "fit_structures_events": (model, [PAIR], FitSettings()),
        "teach": (model, [IMAGE], [np.eye(*IMAGE.shape)], "x", StructureSettings()),
        "teach_events": (model, [IMAGE], [np.eye(*IMAGE.shape)], "x", StructureSettings()),
        "calibrate": (model, [PAIR], CalibrateSettings()),
        "calibrate_events": (model, [PAIR], CalibrateSettings()),
        "trust_maps": trusted,
        "trust_events": trusted,
        "evaluate": evaluated,
        "evaluate_events": evaluated,
        "score": (IMAGE, IMAGE, aeanet.Matching.AFFINE),
        "cases_from_files": (folder / "S05.tif", [folder / "S05.tif"]),
        "register": (IMAGE, IMAGE, RegistrationSettings()),
        "register_all": ([PAIR], RegistrationSettings()),
        "register_all_events": ([PAIR], RegistrationSettings()),
        "resample": placed,
        "crop_to_overlap": placed,
        "check_training": ([PAIR], TrainSettings()),
        "train": trained,
        "train_events": trained,
        "train_each": trained,
        "train_each_events": trained,
        "resume": (trained[0], trained[2]),
        "resume_events": (trained[0], trained[2]),
        "read_image": (folder / "S05.tif",),
        "read_images": (folder / "S05.tif",),
        "write_image": (IMAGE, folder / "out.tif"),
        "load_model": (folder / "m.aeanet",),
        "save_model": (model, folder / "out.aeanet"),
        "load_pairs": (folder / "pairs.json",),
        "save_pairs": ([PAIR], folder / "out.json"),
        "check_computer": (),
        "check_computer_events": (),
        "restore_all": ([folder / "S05.tif"], model, RestoreSettings()),
        "restore_all_events": ([folder / "S05.tif"], model, RestoreSettings()),
        "pairs_from_folders": (folder, folder),
        "export_model": exported,
        "export_events": exported,
        "import_package": (folder / "m.zip",),
    }
    found = {name: (getattr(aeanet, name), list(given)) for name, given in calls.items()}
    inner = {
        ranking_events: related,
        difference_events: (IMAGE, model, [1], RelevanceSettings()),
        reproduce: ("table1", folder, folder),
        reproduce_events: ("table1", folder, folder),
        benchmark: (BenchmarkSettings(),),
        benchmark_events: (BenchmarkSettings(),),
    }
    return found | {one.__name__: (one, list(given)) for one, given in inner.items()}


PLACES = {  # the number of arguments of each
    name: len(given) for name, (_, given) in arguments(None, None, Path()).items()
}


def test_every_public_function_is_among_them():
    functions = {name for name in aeanet.__all__ if inspect.isfunction(getattr(aeanet, name))}
    assert functions <= set(PLACES)


@pytest.mark.parametrize("wrong", [object(), 3.5], ids=["object", "number"])
@pytest.mark.parametrize(
    ("name", "place"), [(name, i) for name, count in PLACES.items() for i in range(count)]
)
def test_a_wrong_type_is_refused_at_the_call_with_the_name_of_the_argument(
    name, place, wrong, model, tmp_path, registered
):
    function, given = arguments(model, registered, tmp_path)[name]
    parameter = list(inspect.signature(function).parameters)[place]
    given[place] = wrong
    with pytest.raises(TypeError, match=rf"^{parameter} must be .*, got {type(wrong).__name__}"):
        function(*given)  # an iterator is not even begun
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def registered():
    source, target, _ = registration_pair()
    return aeanet.register(source, target)


@pytest.mark.parametrize(
    "name",
    [
        n
        for n in PLACES
        if "progress" in inspect.signature(arguments(0, 0, Path())[n][0]).parameters
    ],
)
def test_a_wrong_progress_is_refused_before_any_work(name, model, tmp_path, registered):
    function, given = arguments(model, registered, tmp_path)[name]
    write_image(IMAGE, tmp_path / "S05.tif")
    with pytest.raises(TypeError, match=r"^progress must be .*, got str"):
        function(*given, progress="yes")
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("name", ["register_all", "train", "check_training", "save_pairs"])
def test_a_wrong_item_of_a_list_is_named(name, model, tmp_path, registered):
    function, given = arguments(model, registered, tmp_path)[name]
    given[0] = [PAIR, "S05.tif"]
    with pytest.raises(TypeError, match=r"^pairs\[1\] must be ImagePair, got str"):
        function(*given)


def test_a_single_pair_is_not_a_list_of_pairs(tmp_path):
    with pytest.raises(TypeError, match=r"^pairs must be a sequence of ImagePair, got ImagePair"):
        aeanet.train_events(PAIR, TrainSettings(), tmp_path / "run")


SETTINGS = [
    TrainSettings,
    RestoreSettings,
    RelevanceSettings,
    TrustSettings,
    CalibrateSettings,
    EvaluateSettings,
    RegistrationSettings,
    BenchmarkSettings,
]


@pytest.mark.parametrize("kind", SETTINGS, ids=lambda kind: kind.__name__)
def test_options_of_a_wrong_type_or_below_zero_are_refused_when_they_are_made(kind):
    for name, value in vars(kind()).items():
        # Of a range, every wrong value is one sentence.
        expected = ".* got <object" if name == "range" else f"{name} must be .*, got object"
        with pytest.raises((TypeError, ValueError), match=f"^{expected}"):
            kind(**{name: object()})
        if isinstance(value, int | float) and not isinstance(value, bool):
            for wrong in (-1, float("nan")) if isinstance(value, float) else (-1,):
                with pytest.raises(ValueError, match=rf"^{name} must .*, got"):
                    kind(**{name: wrong})
        assert getattr(replace(kind(), **{name: value}), name) == value


def test_a_choice_may_be_written_as_text_and_a_wrong_one_is_refused_with_the_known_ones():
    settings = RestoreSettings(use="patches", seams="blended")
    assert (settings.use, settings.seams) == (Use.PATCHES, Seams.BLEND)
    assert RestoreSettings(use="whole-image").use is Use.WHOLE_IMAGE
    with pytest.raises(ValueError, match=r"^use must be 'whole image' or 'patches', got 'tiles'"):
        RestoreSettings(use="tiles")


def test_numbers_of_numpy_are_numbers():
    settings = RestoreSettings(tile=np.int64(64), memory=np.float32(2))
    assert (settings.tile, settings.memory) == (64, 2)
    with pytest.raises(TypeError, match="tile must be int, got float"):
        RestoreSettings(tile=64.5)
    with pytest.raises(TypeError, match="tile must be int, got bool"):
        RestoreSettings(tile=True)


ARRAYS = {
    "numpy": np.asarray,
    "dask": lambda pixels: dask.from_array(pixels, chunks=16),
    "zarr": lambda pixels: zarr.array(pixels, chunks=(16, 16)),
}
every_array = pytest.mark.parametrize("made", ARRAYS.values(), ids=ARRAYS.keys())


@every_array
def test_arrays_of_every_library_are_restored_alike(made, model, tmp_path):
    expected = aeanet.restore(IMAGE, model).read()
    settings = RestoreSettings(tile=16)
    restored = aeanet.restore(made(PIXELS), model, settings)
    assert isinstance(restored, np.ndarray)
    np.testing.assert_allclose(restored, expected, atol=1e-5)
    maps = aeanet.relevance_maps(made(PIXELS), model).maps
    np.testing.assert_array_equal(maps, aeanet.relevance_maps(IMAGE, model).maps)
    trust = aeanet.trust_maps(made(PIXELS), model, TrustSettings(symmetries=False))
    np.testing.assert_allclose(trust.restored.read(), expected, atol=1e-5)


class Watched:
    """An array that remembers the largest part that was read at once."""

    def __init__(self, pixels):
        self.pixels, self.largest = pixels, 0
        self.shape, self.dtype, self.ndim = pixels.shape, pixels.dtype, pixels.ndim

    def __getitem__(self, region):
        part = self.pixels[region]
        self.largest = max(self.largest, part.size)
        return part


def test_a_lazy_array_is_read_tile_by_tile_and_its_result_may_stay_in_a_file(tmp_path):
    network = small_network("aeanet-2d", features=2)
    lazy = Watched(np.zeros((512, 512), np.uint8))
    out = tmp_path / "out.ome.zarr"
    restored = aeanet.restore(lazy, model_of(network), RestoreSettings(tile=64), out=out)
    assert 0 < lazy.largest < 512 * 512
    assert isinstance(restored, zarr.Array)
    assert restored.shape == (512, 512)


@pytest.mark.parametrize(
    ("source", "error", "words"),
    [
        ([[1, 2], [3, 4]], TypeError, "must be Image, an array .* or a path, got list"),
        (np.zeros((2, 2, 2, 2)), ValueError, r"axes \(y, x\) or \(z, y, x\)"),
        (np.zeros((8, 8), complex), ValueError, "array of numbers"),
        (np.zeros((8, 0)), ValueError, "holds no pixel"),
        ("nowhere.tif", OSError, "nowhere.tif does not exist"),
    ],
)
def test_sources_that_are_no_images_are_refused(source, error, words, model):
    for function in (aeanet.restore, aeanet.relevance_events, aeanet.trust_events):
        with pytest.raises(error, match=words):
            function(source, model)
    with pytest.raises(error, match=words):
        aeanet.register(source, IMAGE)
    with pytest.raises(error, match=words):
        ImagePair(source, IMAGE)
    with pytest.raises(error, match=words):
        Case("S05", source)


def test_a_dask_array_of_unknown_length_is_refused(model):
    lazy = dask.from_array(PIXELS, chunks=16)
    with pytest.raises(ValueError, match="compute_chunk_sizes"):
        aeanet.restore(lazy[lazy[:, 0] > 0.5], model)


def test_an_image_is_not_made_of_a_list():
    with pytest.raises(TypeError, match=r"array must be an array .*, got list"):
        Image([[1, 2]], "YX")


def test_arrays_and_files_are_registered_resampled_and_paired(tmp_path):
    source, target, _ = registration_pair()
    a, b = source.read(), target.read()
    write_image(source, tmp_path / "a.tif")
    found = aeanet.register(a, tmp_path / "a.tif")
    assert found.source_shape == found.target_shape == source.shape
    found = aeanet.register(a, b)
    np.testing.assert_array_equal(found.matrix, aeanet.register(source, target).matrix)
    moved = aeanet.resample(a, found, b)
    assert isinstance(moved, np.ndarray)
    np.testing.assert_array_equal(moved, aeanet.resample(source, found, target).read())
    left, right = aeanet.crop_to_overlap(a, found, b)
    assert isinstance(left, np.ndarray) and left.shape == right.shape
    pair = ImagePair(a, tmp_path / "a.tif", name="S05")
    assert (pair.source.axes, pair.target.name) == ("YX", "a")


def test_pieces_of_an_evaluation_take_arrays():
    truth = (PIXELS * 200).astype(np.uint8)
    case = Case("S05", truth, files={"mine": truth // 2 * 2})
    found = aeanet.evaluate([case], [aeanet.GivenImages("mine")])
    expected = aeanet.score(truth // 2 * 2, truth)
    assert found.rows[0].scores == expected
    assert expected.psnr > 40


def test_a_method_that_is_a_model_is_refused_with_the_remedy(model, tmp_path):
    with pytest.raises(TypeError, match=r"methods\[0\] .*Restoration\(name, model\)"):
        aeanet.evaluate([PAIR], [model])
    save_model(model, tmp_path / "m.aeanet")
    assert aeanet.Restoration("mine", tmp_path / "m.aeanet").model.card.name == "miniature"
