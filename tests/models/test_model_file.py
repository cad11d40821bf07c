"""A model file: what goes in comes out, and what is not a model is refused."""

import hashlib
import json
import struct
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from safetensors import SafetensorError

from napari_aeanet.core.intensity import Normalisation, NormalisationKind
from napari_aeanet.models.model_file import (
    CARD,
    CARD_DOCUMENT,
    CHECKSUMS,
    WEIGHTS,
    Model,
    ModelCard,
    load_model,
    read_card,
    rename_pixel,
    save_model,
)


@pytest.fixture
def model():
    rng = np.random.default_rng(0)
    card = ModelCard(
        name="sem-particles",
        preset="aeanet-2d",
        network={"kind": "unet", "dims": 2},
        ratio=(2.0, 2.0),
        pixel_size=(5.0, 5.0),
        unit="nm",
        normalisation=Normalisation(kind=NormalisationKind.PERCENTILE, low=1.0, high=99.0),
        context=512,
        context_gains={"256": 1.8, "512": 2.0},
        gain={"psnr": 2.1, "ssim": 0.06},
        provenance={"pairs": ["S01"], "seed": 0},
    )
    weights = {"a.weight": rng.standard_normal((3, 4)).astype(np.float32), "n": np.array(7)}
    return Model(card, weights, {"mean": np.arange(4.0)})


@pytest.fixture
def bundle(model, tmp_path):
    path = tmp_path / "model.aeanet"
    save_model(model, path)
    return path


def test_a_model_survives_the_round_trip(model, bundle):
    back = load_model(bundle)
    assert back.card == model.card == read_card(bundle)
    assert back.weights.keys() == model.weights.keys()
    for name, array in model.weights.items():
        assert back.weights[name].dtype == array.dtype
        np.testing.assert_array_equal(back.weights[name], array)
    np.testing.assert_array_equal(back.statistics["mean"], model.statistics["mean"])


def test_what_is_too_large_for_half_precision_stays_as_it_is(model, tmp_path):
    large = {"variance": np.full(3, 169_524.28, np.float32)}
    save_model(replace(model, weights=model.weights | large), tmp_path / "half.aeanet", half=True)
    weights = load_model(tmp_path / "half.aeanet").weights
    np.testing.assert_array_equal(weights["variance"], large["variance"])
    assert weights["a.weight"].dtype == np.float16


def test_half_precision_halves_the_floats_and_leaves_the_integers(model, tmp_path):
    save_model(model, tmp_path / "half.aeanet", half=True)
    weights = load_model(tmp_path / "half.aeanet").weights
    assert weights["a.weight"].dtype == np.float16
    assert weights["n"] == 7


def test_the_same_model_gives_the_same_bytes(model, bundle, tmp_path):
    save_model(model, tmp_path / "again.aeanet")
    assert (tmp_path / "again.aeanet").read_bytes() == bundle.read_bytes()


def test_names_of_abstract_pixels_are_kept_in_the_file(bundle):
    rename_pixel(bundle, 17, "particle edge")
    assert read_card(bundle).pixel_names == {"17": "particle edge"}
    rename_pixel(bundle, 17, " ")
    assert read_card(bundle).pixel_names == {}


def rewrite(bundle, *, compression=zipfile.ZIP_STORED, **entries):
    """The same archive with some entries replaced or added, checksums left as they were."""
    with zipfile.ZipFile(bundle) as archive:
        data = {name: archive.read(name) for name in archive.namelist()}
    data |= {name.replace("__", "."): content for name, content in entries.items()}
    with zipfile.ZipFile(bundle, "w", compression) as archive:
        for name, content in data.items():
            if content is not None:
                archive.writestr(name, content)


def test_a_changed_byte_is_found(bundle):
    data = bytearray(bundle.read_bytes())
    with zipfile.ZipFile(bundle) as archive:
        info = archive.getinfo(WEIGHTS)
    data[info.header_offset + 30 + len(WEIGHTS) + info.file_size - 2] ^= 1
    bundle.write_bytes(bytes(data))
    with pytest.raises(ValueError, match=r"model\.aeanet.*Get the file again"):
        load_model(bundle)


def test_an_altered_card_is_found_by_its_checksum(bundle):
    rewrite(bundle, model__json=b'{"format": 1}')
    with pytest.raises(ValueError, match="damaged"):
        read_card(bundle)


def test_a_newer_format_is_refused_with_the_remedy(model, bundle, monkeypatch):
    newer = replace(CARD_DOCUMENT, version=99)
    monkeypatch.setattr("napari_aeanet.models.model_file.CARD_DOCUMENT", newer)
    save_model(model, bundle)
    monkeypatch.undo()
    with pytest.raises(ValueError, match=r"version 99.*update napari-aeanet"):
        load_model(bundle)


@pytest.mark.parametrize("keep", [0, 10, 0.5, 0.99])
def test_a_truncated_file_is_refused(bundle, keep):
    data = bundle.read_bytes()
    bundle.write_bytes(data[: int(keep if keep > 1 else keep * len(data))])
    with pytest.raises(ValueError, match=r"model\.aeanet: not a model file"):
        load_model(bundle)


def test_a_text_file_and_a_foreign_zip_are_refused(tmp_path):
    text = tmp_path / "text.aeanet"
    text.write_text("hello")
    with pytest.raises(ValueError, match="not a model file"):
        load_model(text)
    with zipfile.ZipFile(tmp_path / "zip.aeanet", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(ValueError, match="not a napari-aeanet model"):
        load_model(tmp_path / "zip.aeanet")
    with pytest.raises(FileNotFoundError, match="no such model file"):
        load_model(tmp_path / "none.aeanet")


def test_a_zip_bomb_is_refused_unread(bundle):
    rewrite(bundle, compression=zipfile.ZIP_DEFLATED, model__json=b" " * 10**7)
    with pytest.raises(ValueError, match="compressed"):
        read_card(bundle)


def test_an_entry_with_a_path_outside_is_refused(bundle, tmp_path):
    with zipfile.ZipFile(bundle, "a") as archive:
        archive.writestr("../evil.py", b"1")
    with pytest.raises(ValueError, match="entries that no model file has"):
        load_model(bundle)
    assert not (tmp_path.parent / "evil.py").exists()


def test_an_entry_with_a_wrong_size_is_refused(bundle):
    data = bytearray(bundle.read_bytes())
    directory = data.rindex(b"PK\x01\x02")  # the last entry's record in the central directory
    data[directory + 20 : directory + 28] = struct.pack("<II", 2**31, 2**31)
    bundle.write_bytes(bytes(data))
    with pytest.raises(ValueError, match=r"model\.aeanet"):
        load_model(bundle)


def with_card(bundle, card):
    """Replace the card of a model file, with a valid checksum."""
    with zipfile.ZipFile(bundle) as archive:
        weights = archive.read(WEIGHTS)
    sums = {n: hashlib.sha256(d).hexdigest() for n, d in ((CARD, card), (WEIGHTS, weights))}
    with zipfile.ZipFile(bundle, "w") as archive:
        archive.writestr(CARD, card)
        archive.writestr(WEIGHTS, weights)
        archive.writestr(CHECKSUMS, json.dumps(sums))


def test_fields_of_later_versions_are_ignored(model, bundle):
    card = json.loads(CARD_DOCUMENT.dump(model.card)) | {"scale": 2}
    with_card(bundle, json.dumps(card).encode())
    assert read_card(bundle) == model.card


@pytest.mark.parametrize(
    ("card", "reason"),
    [
        (b"[]", "not a napari-aeanet model"),
        (b"{}", "not a napari-aeanet model"),
        (b'{"format": "one"}', "version is 'one'"),
        (b"{", "damaged or not JSON"),
    ],
)
def test_a_card_that_is_none_is_refused_in_one_sentence(card, reason, bundle):
    with_card(bundle, card)
    with pytest.raises(ValueError, match=rf"^model\.aeanet .*{reason}[^\n]*\.$"):
        read_card(bundle)


@pytest.mark.parametrize("sums", ["[]", "null", "{"])
def test_checksums_that_are_none_are_refused(sums, bundle):
    rewrite(bundle, checksums__json=sums)
    with pytest.raises(ValueError, match=r"model\.aeanet: .* is damaged"):
        read_card(bundle)


def test_a_card_without_its_network_is_refused(model, bundle):
    with_card(bundle, json.dumps({"format": 1, "name": "x"}).encode())
    with pytest.raises(ValueError, match=r"^model\.aeanet: preset: field required"):
        load_model(bundle)


def test_a_failed_save_leaves_the_old_file_alone(model, bundle):
    before = bundle.read_bytes()
    bad = replace(model, weights={"a": np.array(["text"])})
    with pytest.raises(SafetensorError):
        save_model(bad, bundle)
    assert bundle.read_bytes() == before
    assert [p.name for p in bundle.parent.iterdir()] == [bundle.name]
