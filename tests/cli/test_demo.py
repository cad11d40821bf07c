"""The demo runs from specimens to figures, in small."""

import time
from dataclasses import replace

import pytest
from helpers import random_network

from napari_aeanet.cli import main
from napari_aeanet.evaluation.context_sizes import gains_by_size
from napari_aeanet.io.files import read_image
from napari_aeanet.models.model_file import load_model
from napari_aeanet.pairs.pair import ImagePair
from napari_aeanet.pairs.pair_list import load_pairs
from napari_aeanet.training import pace


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    words = ["--specimens", "3", "--height", "320", "--width", "384", "--minutes", "0.1"]
    with pytest.MonkeyPatch.context() as patch:  # a busy machine makes as many steps
        patch.setattr(pace, "monotonic", time.process_time)
        assert main(["demo", "--output", str(folder), "--no-window", "--contexts", *words]) == 0
    return folder


def test_the_demo_leaves_figures_images_maps_and_a_model(output):
    assert (output / "report.png").stat().st_size > 10_000
    assert (output / "context-sizes.png").stat().st_size > 10_000
    assert load_model(output / "run" / "best.aeanet").card.pixel_size == (5.0, 5.0)
    restored, maps = (
        read_image(next(output.glob(f"*-{kind}.ome.tif"))) for kind in ("restored", "relevance")
    )
    assert restored.shape == (320, 384)
    assert restored.pixel_size == (5.0, 5.0)
    assert restored.unit == "nm"
    assert maps.pixel_size == (40.0, 40.0)  # of a fast network, for images that are enlarged


def test_a_context_as_large_as_the_image_is_the_whole_image(output):
    pair: ImagePair = load_pairs(output / "pairs.json").pairs[-1]
    model = load_model(output / "run" / "best.aeanet")
    # Of six seconds of training the attention may have learnt nothing, or all.
    weights = random_network(model.card.config).float().state_dict()
    model = replace(model, weights={name: w.numpy() for name, w in weights.items()})
    small, large, whole = gains_by_size(pair, model, 24, sizes=(96, 512))
    assert large.exact == pytest.approx(whole.exact, abs=1e-3)
    assert large.patches == pytest.approx(whole.patches, abs=1e-3)
    assert small.patches != pytest.approx(whole.patches, abs=1e-4)
