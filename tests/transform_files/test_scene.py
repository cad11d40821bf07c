"""Registrations as scenes of OME-Zarr: the same points, and the same after reading."""

import json
from dataclasses import replace

import numpy as np
import pytest
import zarr
from registrations import places_in_source, registration
from scipy.ndimage import map_coordinates

from napari_aeanet.core.image import Image
from napari_aeanet.registration import Verdict, largest_strain
from napari_aeanet.registration.transforms import TransformKind
from napari_aeanet.transform_files import lengths_of, load_scene, save_scene

SIZES = {"source_pixel_size": 9.5, "target_pixel_size": (4.25, 5.0), "unit": "nm"}
SHAPES = (60, 80), (120, 160)
POINTS = np.random.default_rng(1).uniform([-0.5, -0.5], [119.5, 159.5], (2000, 2))
AXES = [{"name": "y", "type": "space"}, {"name": "x", "type": "space"}]
FIELD = "coordinateTransformations/field"


def write_scene(path, transformations, systems=("source", "target"), axes=AXES):
    """A scene as another program may write it, with inputs and outputs as (from, to)."""
    entries = [
        {"input": {"name": start}, "output": {"name": end}, **entry}
        for start, end, entry in transformations
    ]
    scene = {
        "coordinateSystems": [{"name": name, "axes": axes} for name in systems],
        "coordinateTransformations": entries,
    }
    group = zarr.create_group(path, zarr_format=3, overwrite=True)
    group.attrs["ome"] = {"version": "0.6", "scene": scene}
    return group


def write_field(group, values, scale=(1.0, 1.0), shift=(0.0, 0.0), **options):
    """Displacements (2, height, width), and the transformation that names them."""
    field = group.create_group(FIELD)
    axes = [{"name": "d", "type": "displacement", "discrete": True}, *AXES]
    steps = [
        {"type": "scale", "scale": [1.0, *scale]},
        {"type": "translation", "translation": [0.0, *shift]},
    ]
    way = {"type": "sequence", "output": {"name": "p"}, "transformations": steps}
    multiscale = {
        "coordinateSystems": [{"name": "p", "axes": axes}],
        "datasets": [{"path": "s0", "coordinateTransformations": [way]}],
    }
    field.attrs["ome"] = {"version": "0.6", "multiscales": [multiscale]}
    field.create_array("s0", data=np.asarray(values, np.float64), **options)


def displaced(path, values, interpolation="linear", **options):
    """A scene that is nothing but displacements."""
    entry = {"type": "displacements", "path": FIELD, "interpolation": interpolation}
    write_field(write_scene(path, [("target", "source", entry)]), values, **options)
    return path


def farthest(found, wanted, points=POINTS):
    apart = places_in_source(found, points) - wanted
    return np.linalg.norm(apart, axis=1).max()


# --- what is written


@pytest.mark.parametrize("deformed", [False, True])
def test_plain_zarr_and_numpy_take_every_point_to_the_same_place(tmp_path, deformed):
    made = registration(deformed=deformed)
    save_scene(made, tmp_path / "S01.zarr", **SIZES)
    group = zarr.open_group(tmp_path / "S01.zarr", mode="r")
    ome = group.attrs["ome"]
    assert ome["version"] == "0.6"
    assert {one["name"] for one in ome["scene"]["coordinateSystems"]} == {"source", "target"}
    axes = ome["scene"]["coordinateSystems"][0]["axes"]
    assert [(a["name"], a["unit"]) for a in axes] == [("y", "nanometer"), ("x", "nanometer")]
    (entry,) = ome["scene"]["coordinateTransformations"]
    assert (entry["input"], entry["output"]) == ({"name": "target"}, {"name": "source"})
    moved = POINTS * [4.25, 5.0]
    steps = entry["transformations"] if deformed else [entry]
    if deformed:
        place = steps[0]["path"]
        (multiscale,) = group[place].attrs["ome"]["multiscales"]
        scale, shift = multiscale["datasets"][0]["coordinateTransformations"][0]["transformations"]
        samples = group[f"{place}/0"]
        assert samples.metadata.dimension_names == ("d", "y", "x")
        indices = (moved - shift["translation"][1:]) / scale["scale"][1:]
        moved = moved + np.stack([map_coordinates(u, indices.T, order=1) for u in samples[:]], 1)
    affine = np.array(steps[-1]["affine"])
    moved = (moved @ affine[:, :2].T + affine[:, 2]) / 9.5
    error = np.linalg.norm(moved - places_in_source(made, POINTS), axis=1).max() * made.scale
    assert error < (0.005 if deformed else 1e-9)


@pytest.mark.parametrize("deformed", [False, True])
def test_a_scene_is_read_as_it_was_written(tmp_path, deformed):
    made = registration(deformed=deformed)
    save_scene(made, tmp_path / "S01.zarr", **SIZES)
    found = load_scene(tmp_path / "S01.zarr", *SHAPES, **SIZES)
    assert farthest(found, places_in_source(made, POINTS)) < (0.02 if deformed else 1e-6)
    np.testing.assert_allclose(found.matrix, made.matrix, atol=1e-9)
    assert found.is_deformed is deformed
    assert found.verdict is Verdict.DOUBTFUL and "S01.zarr" in found.reason


def test_pixel_sizes_may_be_given_in_another_unit(tmp_path):
    save_scene(registration(deformed=False), tmp_path / "S01.zarr", **SIZES)
    found = load_scene(
        tmp_path / "S01.zarr",
        *SHAPES,
        source_pixel_size=0.0095,
        target_pixel_size=(0.00425, 0.005),
        unit="µm",
    )
    np.testing.assert_allclose(found.matrix, registration().matrix, atol=1e-9)
    with pytest.raises(ValueError, match="lengths in nm: give pixel sizes and their unit"):
        load_scene(tmp_path / "S01.zarr", *SHAPES)


def test_the_lengths_of_calibrated_images_are_in_one_unit():
    source = Image(np.zeros(SHAPES[0]), "YX", pixel_size=(10.0, 12.0), unit="nm")
    target = Image(np.zeros(SHAPES[1]), "YX", pixel_size=(0.005, 0.006), unit="µm")
    found = lengths_of(source, target)
    assert found["source_pixel_size"] == pytest.approx((0.01, 0.012))
    assert found["target_pixel_size"] == (0.005, 0.006) and found["unit"] == "µm"
    assert lengths_of(source, Image(np.zeros(SHAPES[1]), "YX")) == {}


def test_an_existing_folder_is_kept_unless_it_may_be_replaced(tmp_path):
    (tmp_path / "S01.zarr").mkdir()
    (tmp_path / "S01.zarr" / "mine.txt").write_text("kept")
    with pytest.raises(FileExistsError, match=r"S01\.zarr exists already"):
        save_scene(registration(), tmp_path / "S01.zarr")
    assert (tmp_path / "S01.zarr" / "mine.txt").exists()
    save_scene(registration(), tmp_path / "S01.zarr", overwrite=True)
    assert load_scene(tmp_path / "S01.zarr", *SHAPES).is_deformed


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"verdict": Verdict.FAILED}, "not registered"),
        ({"kind": TransformKind.HOMOGRAPHY}, "not a homography"),
        ({"slices": (registration(),)}, "not one transform per plane"),
    ],
)
def test_what_a_scene_cannot_hold_is_refused(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        save_scene(replace(registration(), **changes), tmp_path / "S01.zarr")
    assert not list(tmp_path.iterdir())


# --- what others write

STEPS = [
    {"type": "translation", "translation": [3.0, -2.0]},
    {"type": "scale", "scale": [0.5, 0.25]},
    {"type": "affine", "affine": [[1.0, 0.1, 5.0], [-0.2, 1.0, 0.0]]},
]


def by_hand(points):
    moved = (points + np.array([3.0, -2.0])) * [0.5, 0.25]
    return moved @ np.array([[1.0, -0.2], [0.1, 1.0]]) + [5.0, 0.0]


SEQUENCE = {"type": "sequence", "transformations": STEPS}
LEADS = {
    "a sequence": [("target", "source", SEQUENCE)],
    "over other systems": [
        ("source", "lost", {"type": "identity"}),
        ("target", "a", STEPS[0]),
        ("a", "b", STEPS[1]),
        ("b", "source", STEPS[2]),
    ],
    "the other way": [
        (
            "source",
            "target",
            {
                "type": "sequence",
                "transformations": [
                    {
                        "type": "affine",
                        "affine": np.linalg.inv([[1, 0.1, 5], [-0.2, 1, 0], [0, 0, 1]])[
                            :2
                        ].tolist(),
                    },
                    {"type": "scale", "scale": [2.0, 4.0]},
                    {"type": "translation", "translation": [-3.0, 2.0]},
                ],
            },
        )
    ],
    "a bijection": [
        (
            "source",
            "target",
            {"type": "bijection", "forward": {"type": "lost"}, "inverse": SEQUENCE},
        )
    ],
}


@pytest.mark.parametrize("way", LEADS)
def test_the_chain_from_target_to_source_is_found_and_followed(tmp_path, way):
    write_scene(tmp_path / "a.zarr", LEADS[way])
    assert farthest(load_scene(tmp_path / "a.zarr", *SHAPES), by_hand(POINTS)) < 1e-9


@pytest.mark.parametrize(
    ("entry", "place"),
    [
        ({"type": "rotation", "rotation": [[0.0, -1.0], [1.0, 0.0]]}, [-7.0, 3.0]),
        ({"type": "mapAxis", "mapAxis": [1, 0]}, [7.0, 3.0]),
        ({"type": "identity"}, [3.0, 7.0]),
    ],
)
def test_the_other_types_of_the_plane_are_followed(tmp_path, entry, place):
    write_scene(tmp_path / "a.zarr", [("target", "source", entry)])
    found = load_scene(tmp_path / "a.zarr", *SHAPES)
    np.testing.assert_allclose(places_in_source(found, [[3.0, 7.0]]), [place], atol=1e-12)


def test_systems_of_images_have_paths_and_may_begin_with_x(tmp_path):
    group = write_scene(tmp_path / "a.zarr", [])
    systems = [{"name": "physical", "axes": AXES[::-1]}]
    for place in ("lr", "hr"):
        group.create_group(place).attrs["ome"] = {"multiscales": [{"coordinateSystems": systems}]}
    entry = {"type": "translation", "translation": [2.0, 1.0]}  # x, y
    entry["input"] = {"path": "hr", "name": "physical"}
    entry["output"] = {"path": "lr", "name": "physical"}
    group.attrs["ome"] = {"scene": {"coordinateTransformations": [entry]}}
    names = {"source": "lr/physical", "target": "hr/physical"}
    found = load_scene(tmp_path / "a.zarr", *SHAPES, **names)
    np.testing.assert_allclose(places_in_source(found, [[3.0, 7.0]]), [[4.0, 9.0]], atol=1e-12)


def smooth(y, x, size=1.5):
    return size * np.stack([np.sin(y / 25) * np.cos(x / 40), np.cos(y / 30 + x / 50)])


def test_displacements_between_other_steps_are_followed(tmp_path):
    entry = {
        "type": "sequence",
        "transformations": [
            {"type": "scale", "scale": [2.0, 2.0]},
            {"type": "displacements", "path": FIELD},
            STEPS[2],
        ],
    }
    group = write_scene(tmp_path / "a.zarr", [("target", "source", entry)])
    y, x = np.mgrid[:125, :165] * 2.0 - 4
    write_field(group, smooth(y, x), scale=(2.0, 2.0), shift=(-4.0, -4.0))
    found = load_scene(tmp_path / "a.zarr", *SHAPES)
    moved = POINTS * 2
    moved = moved + smooth(*moved.T).T
    wanted = moved @ np.array([[1.0, -0.2], [0.1, 1.0]]) + [5.0, 0.0]
    assert farthest(found, wanted) < 0.03
    assert found.deformation.coefficients.shape[0] < 30


def test_coarse_displacements_may_be_interpolated_by_cubics(tmp_path):
    y, x = np.mgrid[-5:14, -5:16] * 15.0
    options = {"scale": (15.0, 15.0), "shift": (-75.0, -75.0), "interpolation": "bspline-cubic"}
    found = load_scene(displaced(tmp_path / "a.zarr", smooth(y, x), **options), *SHAPES)
    assert farthest(found, POINTS + smooth(*POINTS.T).T) < 0.02


def test_one_sample_shifts_all(tmp_path):
    options = {"scale": (400.0, 400.0), "shift": (60.0, 80.0)}
    path = displaced(tmp_path / "a.zarr", np.array([3.0, -1.0])[:, None, None], **options)
    assert farthest(load_scene(path, *SHAPES), POINTS + np.array([3.0, -1.0])) < 1e-6


def test_a_turn_within_the_displacements_belongs_to_the_matrix(tmp_path):
    y, x = np.mgrid[:120, :160].astype(float)
    turned = np.stack([x - y, -y - x + 100]) + smooth(y, x)
    found = load_scene(displaced(tmp_path / "a.zarr", turned), *SHAPES)
    moved = np.stack([POINTS[:, 1], 100 - POINTS[:, 0]]).T + smooth(*POINTS.T).T
    inside = (POINTS > 0).all(1) & (POINTS < [119, 159]).all(1)
    assert farthest(found, moved[inside], POINTS[inside]) < 0.03
    assert found.rotation == pytest.approx(90, abs=2) or found.rotation == pytest.approx(-90, abs=2)
    assert largest_strain(found.deformation.coefficients) < 0.3


def test_missing_parts_of_the_displacements_are_told(tmp_path):
    path = displaced(tmp_path / "a.zarr", np.zeros((2, 120, 160)), chunks=(1, 60, 80))
    assert "8 of 8 chunks are not stored" in load_scene(path, *SHAPES).reason


# --- what is no scene, or none that can be read

FOLD = np.zeros((2, 120, 160)) + 20 * np.sin(np.arange(160) / 8)
ROUGH = np.random.default_rng(0).normal(size=(2, 120, 160))
WRONG = {
    "no type": ({}, "not a complete OME-Zarr scene"),
    "byDimension": ({"type": "byDimension", "transformations": []}, "'byDimension' cannot be read"),
    "coordinates": ({"type": "coordinates", "path": FIELD}, "'coordinates' cannot be read"),
    "three axes": ({"type": "scale", "scale": [1, 1, 1]}, "'scale' does not fit 2 axes"),
    "not a number": ({"type": "scale", "scale": [1, "x"]}, "not a complete OME-Zarr scene"),
    "singular": ({"type": "scale", "scale": [1, 0]}, "'scale' cannot be inverted"),
    "no array": ({"type": "displacements", "path": FIELD}, f"lacks the displacements {FIELD}"),
    "an axis twice": ({"type": "mapAxis", "mapAxis": [1, 1]}, "'mapAxis' does not fit 2 axes"),
}


def refusal(path, *, shapes=SHAPES, **options):
    with pytest.raises((ValueError, OSError), match=r"a\.zarr") as error:
        load_scene(path, *shapes, **options)
    text = str(error.value)
    assert "\n" not in text and text.endswith(".") and text.count(". ") == 0
    return text


@pytest.mark.parametrize("case", WRONG)
def test_a_transformation_that_cannot_be_read_is_named(tmp_path, case):
    entry, message = WRONG[case]
    write_scene(tmp_path / "a.zarr", [("target", "source", entry)])
    assert message in refusal(tmp_path / "a.zarr")


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        (FOLD, {}, "may fold the image: smooth them"),
        (ROUGH, {}, "no deformation follows the displacements to 0.015 pixels"),
        (np.full((2, 120, 160), np.nan), {}, "must be finite"),
        (np.zeros((3, 120, 160)), {}, "no field over a plane"),
        (np.ones((2, 90, 160)), {}, "cover only a part of the target"),
    ],
)
def test_displacements_that_cannot_be_followed_are_refused(tmp_path, values, options, message):
    assert message in refusal(displaced(tmp_path / "a.zarr", values, **options))


def test_what_leads_nowhere_is_refused_with_the_names_there_are(tmp_path):
    path = tmp_path / "a.zarr"
    write_scene(path, [("target", "middle", {"type": "identity"})])
    assert "nothing leads from 'target' to 'source'" in refusal(path)
    assert "choose one of middle, source, target" in refusal(path, target="fixed")
    write_scene(path, [("target", "source", {"type": "identity"})], axes=[{"name": "z"}, *AXES])
    assert "has the axes z, y, x, but only y and x" in refusal(path)
    write_scene(path, [("source", "target", {"type": "displacements", "path": FIELD})])
    assert "lead the other way only" in refusal(path)


@pytest.mark.parametrize("kind", ["nothing", "file", "folder", "array", "image", "cut", "text"])
def test_a_folder_that_is_no_scene_ends_in_one_sentence_with_its_name(tmp_path, kind):
    path = tmp_path / "a.zarr"
    if kind == "file":
        path.write_text("{}")
    elif kind == "folder":
        path.mkdir()
    elif kind == "array":
        zarr.create_array(path, shape=(4, 4), dtype="u1")
    elif kind != "nothing":
        save_scene(registration(), path)
        place = path / "zarr.json"
        content = json.loads(place.read_text())
        if kind == "image":
            content["attributes"]["ome"] = {"multiscales": []}
        elif kind == "text":
            content["attributes"]["ome"]["scene"]["coordinateTransformations"] = "none"
        text = json.dumps(content)
        place.write_text(text[: len(text) // 2] if kind == "cut" else text)
    refusal(path)
