"""Networks that interpolate sections: memory of attention, and quality after a short learning.

    python benchmarks/slice_networks.py memory
    python benchmarks/slice_networks.py learn DATA [--networks guided ssan] [--seeds 0 1 2]
    python benchmarks/slice_networks.py ablation DATA [--cpu-seconds 60]

`memory`: what attention takes beside its input, each size in a process of its own. Accepted are
1 GiB at 1 x 64 x 512 x 512 and 3 GiB at 1 x 64 x 1024 x 1024.

`learn`: DATA holds the folders em_stack_isbi2012 (learning from sections 0 to 21, compared on 23
to 28) and em_stack_vnc (0 to 13, compared on 15 to 18). Everything, alignment included, has to fit
into the CPU seconds; one thread. Accepted are, on the compared sections: the guided network at
least 1.0 dB above the mean of the neighbours and .02 above the membrane agreement of the flow, and
above that of the smoothed flow; SSAN .9 dB and .05 above the mean.

`ablation`: extractors, layers and losses of SSAN at equal CPU seconds, on the first stack, compared
on sections kept out of the learning from 0 to 21: nothing is tuned on those of `learn`.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch

from napari_aeanet.core.image import Image
from napari_aeanet.interpolation.config import (
    Extractor,
    InterpolationConfig,
    Projections,
    SsanConfig,
    WarpLayer,
)
from napari_aeanet.interpolation.hidden import HiddenSection, hide_section
from napari_aeanet.interpolation.learning import (
    interpolated_scores,
    learn_sections,
    untrained_scores,
)
from napari_aeanet.interpolation.learning_settings import (
    LearnSettings,
    MethodScores,
    SectionLoss,
    SectionNetwork,
)
from napari_aeanet.interpolation.measures import SectionScores
from napari_aeanet.interpolation.prediction import NetworkInterpolator
from napari_aeanet.interpolation.section_model import SectionModel, load_section_model
from napari_aeanet.interpolation.sparse_attention import SectionAttention
from napari_aeanet.interpolation.texture import with_texture
from napari_aeanet.io import read_image

GIB = 2**30
#: Side of the map, and GiB beside it that are accepted.
ACCEPTED_MEMORY = {512: 1.0, 1024: 3.0}
#: File, sections to learn from, and sections compared.
STACKS = {
    "isbi": ("em_stack_isbi2012/volume.tif", 22, range(23, 29)),
    "vnc": ("em_stack_vnc/volume_crop.tif", 14, range(15, 19)),
}
GUIDED = LearnSettings(cpu_seconds=150, device="cpu")
SSAN = LearnSettings(network=SectionNetwork.SSAN, cpu_seconds=270, device="cpu")
NETWORKS = {"guided": GUIDED, "ssan": SSAN}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    memory_parser = commands.add_parser("memory")
    memory_parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    learn_parser = commands.add_parser("learn")
    learn_parser.add_argument("data", type=Path)
    learn_parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    learn_parser.add_argument("--stacks", nargs="+", choices=STACKS, default=list(STACKS))
    learn_parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    learn_parser.add_argument("--cpu-seconds", type=float, help="in place of 150 and 270")
    ablation_parser = commands.add_parser("ablation")
    ablation_parser.add_argument("data", type=Path)
    ablation_parser.add_argument("--cpu-seconds", type=float, default=60.0)
    ablation_parser.add_argument("--only", nargs="+", choices=ABLATIONS, default=list(ABLATIONS))
    args = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    {"memory": memory, "learn": learn, "ablation": ablation}[args.command](args)


def memory(args: argparse.Namespace) -> None:
    if args.one:
        print(json.dumps(attention_memory(args.one)))
        return
    for size, accepted in ACCEPTED_MEMORY.items():
        command = [sys.executable, __file__, "memory", "--one", str(size)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        gib, seconds = json.loads(done.stdout)
        print(
            f"1 x 64 x {size} x {size}: {gib:.2f} GiB (accepted: {accepted}), {seconds:.1f} CPU s"
        )


def attention_memory(size: int) -> tuple[float, float]:
    """Return the GiB beside the input and the CPU seconds of the sparse layer."""
    layer = SectionAttention(64, WarpLayer.SPARSE, Projections.SOLVED).eval()
    with torch.inference_mode():
        layer(torch.rand(1, 64, 64, 64))
        x = torch.rand(1, 64, size, size)
        before, begun = peak(), time.process_time()
        layer(x)
        return (peak() - before) / GIB, time.process_time() - begun


def peak() -> int:
    """Return the largest memory of this process so far, in bytes."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def learn(args: argparse.Namespace) -> None:
    for name in args.networks:
        settings = NETWORKS[name]
        if args.cpu_seconds:
            settings = replace(settings, cpu_seconds=args.cpu_seconds)
        for seed in args.seeds:
            for stack in args.stacks:
                learn_and_compare(args.data, name, stack, replace(settings, seed=seed))


def learn_and_compare(data: Path, name: str, stack: str, settings: LearnSettings) -> None:
    """Learn from the first sections of a stack and print the scores of the last ones."""
    file, first, tested = STACKS[stack]
    pixels = read_image(data / file).read()
    used, result, model = learnt(pixels[:first], settings)
    sections = [hidden(pixels, index) for index in tested]
    scores, textured = tested_scores(model, sections)
    print(
        f"\n{name}, {stack}, seed {settings.seed}: {result.steps} steps in {used:.0f} CPU s from "
        f"{len(result.sections)} sections. {result.scores.words}{gammas(model)}"
    )
    print_scores(scores)
    print(f"{'learnt + texture':<18}{row(textured)}", flush=True)


def learnt(pixels: np.ndarray, settings: LearnSettings, config: InterpolationConfig | None = None):
    """Return the CPU seconds of a learning, its result and its model."""
    with tempfile.TemporaryDirectory() as folder:
        begun = time.process_time()
        result = learn_sections(Image(pixels, "ZYX"), Path(folder) / "run", settings, config=config)
        return time.process_time() - begun, result, load_section_model(result.model)


def hidden(pixels: np.ndarray, index: int) -> HiddenSection:
    """Return a section with its neighbours on its grid."""
    before, middle, after = (pixels[index + step].astype(np.float32) for step in (-1, 0, 1))
    found = hide_section(middle, before, after)
    assert found is not None, f"section {index} does not match its neighbours"
    return found


def tested_scores(
    model: SectionModel, sections: Sequence[HiddenSection]
) -> tuple[MethodScores, SectionScores]:
    """Return the scores of all methods, and those of the network with texture."""
    interpolator = NetworkInterpolator.of(model, "cpu")

    def textured(neighbours):
        return with_texture(interpolator(neighbours), neighbours)

    scores, _ = interpolated_scores(interpolator, sections)
    return (
        MethodScores(learnt=scores, **untrained_scores(sections)),
        interpolated_scores(textured, sections)[0],
    )


def gammas(model: SectionModel) -> str:
    """Return the weights of the attentions, which start at 0, as text."""
    found = [f"{float(v):+.4f}" for n, v in model.weights.items() if n.endswith("gamma")]
    return f" Gammas {', '.join(found)}." if found else ""


def print_scores(scores: MethodScores) -> None:
    print(f"{'':<18}{'PSNR':>7}{'SSIM':>7}{'kappa':>7}{'sharp':>7}{'IE':>7}")
    for name in ("mean", "flow", "smoothed", "learnt"):
        print(f"{name:<18}{row(getattr(scores, name))}", flush=True)


def row(one: SectionScores) -> str:
    numbers = f"{one.psnr:>7.2f}{one.ssim:>7.3f}{one.agreement:>7.3f}{one.sharpness:>7.2f}"
    return f"{numbers}{one.error:>7.1f}"


SMALL = SsanConfig.small()
ABLATIONS = {
    "SSAN": (SMALL, SectionLoss.CHARBONNIER),
    "dense blocks": (replace(SMALL, extractor=Extractor.DENSE), SectionLoss.CHARBONNIER),
    "siamese U-Net": (replace(SMALL, extractor=Extractor.SIAMESE_UNET), SectionLoss.CHARBONNIER),
    "U-Net": (replace(SMALL, extractor=Extractor.UNET), SectionLoss.CHARBONNIER),
    "one level": (replace(SMALL, layer=WarpLayer.INTERLACED), SectionLoss.CHARBONNIER),
    "kernels": (replace(SMALL, layer=WarpLayer.KERNELS), SectionLoss.CHARBONNIER),
    "published loss": (SMALL, SectionLoss.PUBLISHED),
}


def ablation(args: argparse.Namespace) -> None:
    file, first, _ = STACKS["isbi"]
    pixels = read_image(args.data / file).read()[:first]
    print(f"{'':<18}{'PSNR':>7}{'SSIM':>7}{'kappa':>7}{'sharp':>7}{'IE':>7}{'steps':>7}")
    for name in args.only:
        config, loss = ABLATIONS[name]
        settings = replace(SSAN, cpu_seconds=args.cpu_seconds, loss=loss)
        _, result, _ = learnt(pixels, settings, config)
        print(f"{name:<18}{row(result.scores.learnt)}{result.steps:>7}", flush=True)
    for name in ("mean", "flow", "smoothed"):
        print(f"{name:<18}{row(getattr(result.scores, name))}")


if __name__ == "__main__":
    main()
