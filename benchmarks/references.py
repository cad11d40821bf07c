"""Balanced shares and k-means centres for the references, beside the networks as published.

    python benchmarks/references.py [RUN ...] [--sets synthetic real volume surface]
                                    [--seeds 0 1 2] [--part choose|judge] [--steps 300]
                                    [--folder references-output] [--report]

RUN is PRESET or PRESET:OPTION:OPTION, such as aeanet-2d-fast:balanced:warm60. Options:

balanced  half of the attention for the pixels, half for the references, in prediction and in both
          halves of a batch: y = x + out(1/2 q S_X / s + 1/2 q S_R / r)
warmN     after N steps, R is set to the k-means++ centres of the activated features
rN        N references instead of 64
lrN       all parameters of the attention learn N times as fast

The package has none of these options: here they replace methods of its attention and of its
training. A run has the number of steps that takes the CPU time of `--steps` of AEANet as published,
so that other work on the computer does not decide on it. Sets:

synthetic  eight pairs of the SEM sample learn, four others are judged by the noise-free truth
real       SEM pairs, enlarged twice: images 0 to 8 learn, 9 to 11 serve to choose (their middle),
           12 to 14 are judged. All are registered with their local drift
volume     three noisy stacks of the fluorescence sample learn, another is judged by the truth
surface    three stacks of the epithelium sample and their projections learn, another is judged

Every model restores the images as it is, with the references' share of the attention set to zero,
with that share replaced by its mean over the image (a constant, which a bias could hold as well),
and with the whole attention set to zero. Losses are positive where the model becomes worse. Models
and pairs are kept in the folder; a line of results.jsonl is not made again.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import product
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from scipy.cluster.vq import kmeans2
from torch import Tensor

from napari_aeanet.core.image import Image
from napari_aeanet.evaluation.report import in_columns
from napari_aeanet.evaluation.scoring import score
from napari_aeanet.io.files import read_images
from napari_aeanet.models import presets
from napari_aeanet.models.model_file import Model, load_model
from napari_aeanet.networks import Network, config_to_json
from napari_aeanet.networks.attention import Attention, Context, apply_context
from napari_aeanet.pairs.pair import ImagePair
from napari_aeanet.registration.run import register
from napari_aeanet.registration.warping import crop_to_overlap
from napari_aeanet.reproduction.data_sets import kept_out_for
from napari_aeanet.restoration.run import restore
from napari_aeanet.samples import SemSettings, epithelium_volume, fluorescence_volume, paired_sem
from napari_aeanet.training.run import train_events
from napari_aeanet.training.run_state import TrainingRun
from napari_aeanet.training.settings import Finished, TrainSettings
from napari_aeanet.training.trainer import Trainer

DATA = Path(__file__).parents[2] / "shared" / "data" / "sem_pairs_wzl"
RESULTS = "results.jsonl"
ALIGNED = SemSettings(rotation=0, scale_error=0, shift=0, drift=0)
PARTS = {"learn": range(9), "choose": range(9, 12), "judge": range(12, 15)}
OTHER_SEEDS = {"choose": (777, 10), "judge": (778, 11)}  # of specimens, and of stacks
BORDER, MIDDLE = 24, (512, 640)  # pixels that are not judged; the middle that serves to choose
# Steps in the CPU time of one of AEANet as published (median of 14, in turns).
STEPS = {"gvtnet-2d-fast": 1.06, "unet-2d-fast": 0.97}
STEPS_BALANCED = 0.98
BATCHES, SAMPLED, ROUNDS = 12, 8192, 10  # for the centres: batches, places, rounds of k-means
SILENCED = ("references", "mean", "attention")
ACCEPTED = 0.03  # dB that silenced references must cost
DEFAULT = ["aeanet-2d-fast", "aeanet-2d-fast:balanced:warm60", "gvtnet-2d-fast", "unet-2d-fast"]


@dataclass(frozen=True, kw_only=True)
class Variant:
    balanced: bool = False
    warm: int = 0
    r: int = 0
    lr: int = 1


def parsed(run: str) -> tuple[str, Variant]:
    """Return the preset and the options of a run."""
    preset, *options = run.split(":")
    variant = Variant()
    for option in options:
        found = re.fullmatch(r"(balanced)|(warm|r|lr)(\d+)", option)
        if not found:
            raise SystemExit(f"{option} is no option: balanced, warmN, rN and lrN are.")
        flag, name, number = found.groups()
        variant = replace(variant, **{flag: True} if flag else {name: int(number)})
    return preset, variant


# --- the attention


@dataclass(eq=False)
class Patched:
    """Methods of `Attention` with the shares of a variant, and with one of them silenced."""

    variant: Variant
    silenced: str = ""
    queries: dict[Attention, tuple[Tensor, int]] = field(default_factory=dict)

    def attend(
        self, attention: Attention, q: Tensor, pixels: Context, references: Context | None
    ) -> Tensor:
        """Return the attention before the output transform."""
        if self.silenced == "attention":
            width = pixels.sum.shape[1] * pixels.sum.shape[3]
            return q.new_zeros(len(q), width, *q.shape[2:])
        if references is None:
            return apply_context(q, pixels, queries_per_key=attention.queries_per_key)
        own = references.sum.to(pixels.sum)
        count = pixels.count + references.count
        if self.variant.balanced:  # as if the references were as many as the pixels
            own, count = own * (pixels.count / references.count), 2 * pixels.count
        if not self.silenced:
            self._add(attention, q)
            return apply_context(q, Context(pixels.sum + own, count))
        y = apply_context(q, Context(pixels.sum, count))
        if self.silenced == "references":
            return y
        total, number = self.queries[attention]
        mean = (total / number).reshape(1, -1, *(1,) * (q.dim() - 2)).to(q)
        return y + apply_context(mean, Context(own, count))

    def attend_batch_aware(self, attention: Attention, q: Tensor, x: Tensor) -> Tensor:
        """Return the training form; balanced, both halves attend to the references."""
        half = len(x) // 2
        context, own = attention.gather(x), attention.reference_context()
        parts = [self.attend(attention, q[half:], Context(context.sum[half:], context.count), own)]
        if half:
            joined = Context(context.sum[:half], context.count).joined()
            both = own if self.variant.balanced else None
            parts.insert(0, self.attend(attention, q[:half], joined, both))
        return attention.out(torch.cat(parts))

    def _add(self, attention: Attention, q: Tensor) -> None:
        """Add up the queries of an image that is restored."""
        if torch.is_grad_enabled():
            return
        total, number = self.queries.get(attention, (torch.zeros(()), 0))
        flat = q.transpose(0, 1).flatten(1).double()
        self.queries[attention] = (total + flat.sum(1), number + flat.shape[1])


@contextmanager
def attention_of(variant: Variant) -> Iterator[Patched]:
    """Let all attentions have the shares of a variant."""
    patched = Patched(variant)

    def attend(self: Attention, *args: Tensor | Context | None) -> Tensor:
        return patched.attend(self, *args)

    def attend_batch_aware(self: Attention, q: Tensor, x: Tensor) -> Tensor:
        return patched.attend_batch_aware(self, q, x)

    with (
        mock.patch.object(Attention, "_linear_attention", attend),
        mock.patch.object(Attention, "attend_batch_aware", attend_batch_aware),
    ):
        yield patched


# --- the training


@contextmanager
def training_of(variant: Variant) -> Iterator[None]:
    """Let trainings set the references after the warm-up, and have two learning rates."""
    after_step, new = TrainingRun.plan_anew, Trainer.__init__

    def plan_anew(self: TrainingRun) -> None:
        after_step(self)
        if self.progress.step == variant.warm:
            set_references(self)

    def new_trainer(self: Trainer, *args: object) -> None:
        new(self, *args)
        if variant.lr > 1:
            quicken(self, variant.lr)

    with (
        mock.patch.object(TrainingRun, "plan_anew", plan_anew),
        mock.patch.object(Trainer, "__init__", new_trainer),
    ):
        yield


def attentions_of(network: Network) -> list[Attention]:
    return [one for one in network.modules() if isinstance(one, Attention)]


@torch.no_grad()
def set_references(run: TrainingRun) -> None:
    """Set R of every attention to the k-means++ centres of its activated features."""
    trainer = run.trainer
    with_references = [one for one in attentions_of(trainer.network) if one.references is not None]
    seen: dict[Attention, list[Tensor]] = {one: [] for one in with_references}
    hooks = [
        one.k.register_forward_pre_hook(lambda _, inputs, kept=kept: kept.append(inputs[0]))
        for one, kept in seen.items()
    ]
    buffers = [buffer.clone() for buffer in trainer.network.buffers()]
    trainer.network.train()
    for step in range(BATCHES):
        trainer.network.outputs(trainer.as_input(run.data.batch(step, trainer.device)[0]))
    for hook in hooks:
        hook.remove()
    for buffer, before in zip(trainer.network.buffers(), buffers, strict=True):
        buffer.copy_(before)
    for attention, maps in seen.items():
        places = torch.cat([x.transpose(0, 1).flatten(1) for x in maps], 1).T.double().numpy()
        rng = np.random.default_rng(run.plan.settings.seed)
        chosen = places[rng.permutation(len(places))[:SAMPLED]]
        references = attention.references
        centres, _ = kmeans2(chosen, len(references), iter=ROUNDS, minit="++", rng=rng)
        references.copy_(torch.from_numpy(centres))
        for moment in ("exp_avg", "exp_avg_sq"):
            trainer._optimiser.state[references][moment].zero_()


def quicken(trainer: Trainer, factor: int) -> None:
    """Let the attentions learn faster by a factor."""
    optimiser = trainer._optimiser
    (group,) = optimiser.param_groups
    own = {id(p) for one in attentions_of(trainer.network) for p in one.parameters()}
    faster = [p for p in group["params"] if id(p) in own]
    group["params"] = [p for p in group["params"] if id(p) not in own]
    optimiser.add_param_group({"params": faster})

    def multiply(*_: object) -> None:
        optimiser.param_groups[1]["lr"] *= factor

    optimiser.register_step_pre_hook(multiply)


# --- pairs


@cache
def pairs_of(name: str, part: str, folder: Path) -> list[ImagePair]:
    """Return the pairs of a part, each on one grid; made once and kept in the folder."""
    file = folder / f"{name}-{part}.npz"
    if not file.exists():
        made = MADE[name](part)
        np.savez(
            file,
            **{f"{i:02d}{j}": x.read() for i, pair in enumerate(made) for j, x in pair_of(pair)},
        )
    with np.load(file) as arrays:
        sides = {key: Image(arrays[key], "ZYX"[-arrays[key].ndim :]) for key in sorted(arrays)}
    numbers = sorted({key[:2] for key in sides})
    return [ImagePair(sides[f"{n}s"], sides[f"{n}t"], name=f"{name} {n}") for n in numbers]


def pair_of(pair: ImagePair) -> Iterator[tuple[str, Image]]:
    yield from (("s", pair.source), ("t", pair.target))


def _real(part: str) -> list[ImagePair]:
    sides = [read_images(DATA / f"{side}.tif") for side in ("lr", "hr")]
    chosen = [[side[number] for side in sides] for number in PARTS[part]]
    return [_registered(source, target, target) for source, target in chosen]


def _synthetic(part: str) -> list[ImagePair]:
    if part == "learn":
        made = paired_sem(8, seed=0, shape=(512, 640))
        return [_registered(one.source, one.target, one.target) for one in made]
    made = paired_sem(4, seed=OTHER_SEEDS[part][0], shape=(384, 512), settings=ALIGNED)
    return [_registered(one.source, one.target, one.truth) for one in made]


def _registered(source: Image, target: Image, truth: Image) -> ImagePair:
    return ImagePair(*crop_to_overlap(source, register(source, target), truth))


def _volume(part: str) -> list[ImagePair]:
    learns = part == "learn"
    made = [fluorescence_volume(seed, (24, 128, 128)) for seed in _stack_seeds(part)]
    return [ImagePair(one.noisy[-1], one.noisy[0] if learns else one.truth) for one in made]


def _surface(part: str) -> list[ImagePair]:
    made = [epithelium_volume(seed, (30, 128, 128)) for seed in _stack_seeds(part)]
    return [ImagePair(one.volume, one.projection) for one in made]


def _stack_seeds(part: str) -> list[int]:
    return list(range(3)) if part == "learn" else [OTHER_SEEDS[part][1]]


MADE: dict[str, Callable[[str], list[ImagePair]]] = {
    "real": _real,
    "synthetic": _synthetic,
    "volume": _volume,
    "surface": _surface,
}


# --- runs


def trained(run: str, name: str, seed: int, steps: int, folder: Path) -> tuple[Model, float]:
    """Return the model of a run, and the CPU seconds of its training."""
    made = folder / f"{run.replace(':', '_')}-{name}-{seed}-{steps}.aeanet"
    if not made.exists():
        preset, variant = parsed(run)
        share = STEPS.get(preset, 1.0) * (STEPS_BALANCED if variant.balanced else 1.0)
        settings = TrainSettings(
            preset=preset, steps=round(share * steps), seed=seed, structures=False, device="cpu"
        )
        learn = pairs_of(name, "learn", folder)
        began = time.process_time()
        with tempfile.TemporaryDirectory() as scratch, attention_of(variant), training_of(variant):
            if variant.r:
                config = presets.quick_config(presets.preset(preset))
                network = Path(scratch) / "network.json"
                network.write_text(
                    json.dumps(config_to_json(replace(config, references=variant.r)))
                )
                settings = replace(settings, network=str(network))
            events = train_events(learn, kept_out_for(settings, learn), Path(scratch) / "run")
            bundle = next(e for e in events if isinstance(e, Finished)).bundle
            took = {"training CPU s": time.process_time() - began}
            made.with_suffix(".json").write_text(json.dumps(took))
            made.write_bytes(bundle.read_bytes())
    return load_model(made), json.loads(made.with_suffix(".json").read_text())["training CPU s"]


def judge(run: str, name: str, seed: int, steps: int, part: str, folder: Path) -> None:
    """Train, judge, and add a line to the results, unless it is there."""
    key = {"run": run, "set": name, "seed": seed, "steps": steps, "part": part}
    if any(key.items() <= one.items() for one in finished(folder)):
        return
    model, seconds = trained(run, name, seed, steps, folder)
    # Images are restored by one network, whose attentions know their mean queries.
    network = model.network()
    same = type("SameNetwork", (Model,), {"network": lambda self: network})
    model = same(model.card, model.weights, model.statistics, model.path)
    config = model.card.config
    silenced = [*SILENCED] if config.references else ["attention"] if config.has_attention else []
    scores: dict[str, list[tuple[float, float]]] = {}
    with attention_of(parsed(run)[1]) as patched:
        for pair in pairs_of(name, part, folder):
            judged = _middle(pair) if (name, part) == ("real", "choose") else pair
            patched.queries.clear()
            if len(judged.source.axes) == len(judged.target.axes):
                scores.setdefault("input", []).append(_score(judged.source, judged.target))
            for what in ["", *silenced]:
                patched.silenced = what
                found = _score(restore(judged.source, model), judged.target)
                scores.setdefault(what or "restored", []).append(found)
    means = {what: [float(x) for x in np.mean(own, axis=0)] for what, own in scores.items()}
    line = {**key, "training CPU s": round(seconds, 1), **means}
    with (folder / RESULTS).open("a") as file:
        file.write(json.dumps(line) + "\n")
    print(in_columns([_row([line])]), flush=True)


def _middle(pair: ImagePair) -> ImagePair:
    sides = []
    for image in (pair.source, pair.target):
        pixels = image.read()
        first = [(n - wanted) // 2 for n, wanted in zip(pixels.shape, MIDDLE, strict=True)]
        box = tuple(slice(i, i + wanted) for i, wanted in zip(first, MIDDLE, strict=True))
        sides.append(image.with_array(pixels[box]))
    return ImagePair(*sides)


def _score(image: Image, truth: Image) -> tuple[float, float]:
    """Return PSNR and SSIM after the best gain and offset."""
    inner = (slice(BORDER, -BORDER) if truth.axes == "YX" else slice(None),) * len(truth.axes)
    found = score(image.with_array(image.read().astype(np.float32)), truth, regions=[inner])
    return found.psnr, found.ssim


def finished(folder: Path) -> list[dict]:
    path = folder / RESULTS
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


# --- report


def report(runs: list[dict]) -> None:
    """Print means over the seeds with their spread, largest minus smallest."""
    groups: dict[tuple, list[dict]] = {}
    for run in runs:
        groups.setdefault(tuple(run[k] for k in ("set", "part", "steps", "run")), []).append(run)
    head = ["set", "part", "steps", "run", "seeds", "PSNR gain", "SSIM gain"]
    head += [f"without {what}" for what in ("references", "their variation", "attention")]
    print(in_columns([head, *(_row(own) for own in groups.values())]))
    for (name, part, steps, run), own in groups.items():
        if parsed(run)[1].balanced:
            cost = np.mean([_loss(one, "references", 0) for one in own])
            said = "reached" if cost >= ACCEPTED else "MISSED"
            print(f"{name}, {part}, {steps}, {run}: references cost {cost:+.3f} dB: {said}")


def _row(own: list[dict]) -> list[str]:
    first = own[0]
    gains = [
        _spread([-_loss(one, "input", metric) for one in own], digits)
        for metric, digits in ((0, 3), (1, 4))
    ]
    losses = [_spread([_loss(one, what, 0) for one in own], 3) for what in SILENCED]
    names = [str(first[k]) for k in ("set", "part", "steps", "run")]
    return [*names, " ".join(str(one["seed"]) for one in own), *gains, *losses]


def _loss(one: dict, what: str, metric: int) -> float:
    """Return what is lost with this one silenced; negative for the input, the gain over it."""
    if what == "input":
        return one.get("input", [0.0, 0.0])[metric] - one["restored"][metric]
    return one["restored"][metric] - one[what][metric] if what in one else np.nan


def _spread(values: list[float], digits: int) -> str:
    if np.isnan(values).any():
        return "-"
    return f"{np.mean(values):+.{digits}f} ({np.ptp(values):.{digits}f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="*", default=DEFAULT, metavar="RUN")
    parser.add_argument("--sets", nargs="+", choices=MADE, default=["synthetic", "real"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--part", choices=OTHER_SEEDS, default="choose")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--folder", type=Path, default=Path("references-output"))
    parser.add_argument("--report", action="store_true", help="print the table, train nothing")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    if not args.report:
        torch.set_num_threads(1)
        for seed, name, run in product(args.seeds, args.sets, args.runs):
            if name == "real" and not DATA.is_dir():
                print(f"skipped: {DATA} is not there")
                continue
            judge(run, name, seed, args.steps, args.part, args.folder)
    report(finished(args.folder))


if __name__ == "__main__":
    main()
