"""Learn to interpolate from the good sections of a stack, and compare with the optical flow.

    stack -> sections with neighbours -> steps, comparisons -> model, used only if it is better

A step is the same in every run of a plan, so that a run that was stopped and gone on with gives
the same model, bit for bit, on the same computer. A computing time becomes a number of steps
before the first one; a run that turns out slower ends sooner.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from contextlib import closing
from copy import deepcopy
from dataclasses import fields
from pathlib import Path

import numpy as np

from napari_aeanet.core.arguments import as_path, check_type
from napari_aeanet.core.image import Image
from napari_aeanet.core.progress import EtaEstimator, Progress, ProgressOption, result_of
from napari_aeanet.interpolation.config import InterpolationConfig
from napari_aeanet.interpolation.flow import WarpedNeighbours
from napari_aeanet.interpolation.hidden import HiddenSection
from napari_aeanet.interpolation.learner import Learner, Patches, intensity_range, learning_rate
from napari_aeanet.interpolation.learning_folder import (
    LearnCounters,
    LearnFolder,
    LearnPlan,
    opened,
)
from napari_aeanet.interpolation.learning_settings import (
    LearnCompared,
    LearnEvent,
    LearnSettings,
    LearnStepped,
    MethodScores,
    SectionsLearnt,
)
from napari_aeanet.interpolation.measures import SectionScores, blurred
from napari_aeanet.interpolation.prediction import NetworkInterpolator
from napari_aeanet.interpolation.run import Interpolator
from napari_aeanet.interpolation.section_model import (
    SectionModel,
    SectionModelCard,
    save_section_model,
)
from napari_aeanet.interpolation.triplets import candidates, prepared_sections, split
from napari_aeanet.io import Fingerprint, ImageSource, program_versions
from napari_aeanet.networks import choose_device
from napari_aeanet.stacks import as_stack

DEFAULTS = LearnSettings()
#: Most comparisons with the flow in a run, the last one at its end, and share of a computing time
#: that those before may take.
COMPARISONS, COMPARING_SHARE = 3, 0.05
#: Steps that are timed after a first one, and fewest steps of a run.
TIMED_STEPS, FEWEST_STEPS = 3, 20
#: Shares of the computing time that are planned for, and after which no further step is made if
#: the steps turn out slower; the last comparison comes on top.
PLANNED_SHARE, LAST_SHARE = 0.95, 0.98
#: The state is saved this often, in seconds.
SAVE_EVERY_SECONDS = 60.0
Events = Generator[LearnEvent, None, None]


def learn_sections(
    source: ImageSource,
    folder: str | Path,
    settings: LearnSettings = DEFAULTS,
    *,
    skip: Collection[int] = (),
    config: InterpolationConfig | None = None,
    progress: ProgressOption = False,
) -> SectionsLearnt:
    """Let a network learn from a stack to interpolate its sections; return the last event.

    Parameters
    ----------
    source
        A stack (z, y, x): an image, an array or a file.
    folder
        Folder of the run; it is made, and must not hold a run.
    skip
        Damaged sections, counted from 0: neither they nor their neighbours are learnt from.
    config
        Network in place of that of the settings.
    """
    events = learn_sections_events(source, folder, settings, skip=skip, config=config)
    with closing(events):
        return result_of(SectionsLearnt, events, progress)


def learn_sections_events(
    source: ImageSource,
    folder: str | Path,
    settings: LearnSettings = DEFAULTS,
    *,
    skip: Collection[int] = (),
    config: InterpolationConfig | None = None,
) -> Events:
    """Yield the events of `learn_sections`. Closing the generator saves the run and stops it."""
    check_type("settings", settings, LearnSettings)
    image, path = as_stack(source), as_path("folder", folder)
    return _learn(image, path, settings.resolved(), frozenset(skip), config or settings.config)


def resume_sections_events(source: ImageSource, folder: str | Path) -> Events:
    """Go on with the run in `folder`, from the same stack; yield the events of `learn_sections`."""
    return _resume(as_stack(source), as_path("folder", folder))


def _learn(
    image: Image,
    path: Path,
    settings: LearnSettings,
    skip: Collection[int],
    config: InterpolationConfig,
) -> Events:
    clock = _clock(settings)
    with opened(path, is_new=True) as folder:
        indices = candidates(image.shape[0], skip)
        sections = yield from prepared_sections(image, indices)
        prepared = tuple(sections)
        run = _Run(image, folder, settings, config, sections)
        del sections  # many planes
        steps, comparisons, last = settings.steps, COMPARISONS, 0.0
        if not steps:
            steps, comparisons, last = run.affordable(settings.cpu_seconds - clock())
        plan = LearnPlan(
            settings=settings,
            network=config,
            stack=Fingerprint.of(image),
            prepared=prepared,
            steps=steps,
            comparisons=comparisons,
            seconds=0.0 if settings.steps else LAST_SHARE * settings.cpu_seconds - last,
            versions=program_versions(),
        )
        folder.write_state(run.learner.state(), LearnCounters(seconds=clock()))
        folder.write_plan(plan)
        yield from run.events(plan, LearnCounters(), clock)


def _resume(image: Image, path: Path) -> Events:
    with opened(path, is_new=False) as folder:
        plan = folder.read_plan()
        if Fingerprint.of(image) != plan.stack:
            msg = (
                f"{path} has learnt from another stack, or {image.name} has changed since: choose "
                "that stack, or start anew in another folder."
            )
            raise ValueError(msg)
        clock = _clock(plan.settings)
        sections = yield from prepared_sections(image, plan.prepared)
        run = _Run(image, folder, plan.settings, plan.network, sections)
        del sections  # many planes
        state, counters = folder.read_state()
        run.learner.load_state(state)
        yield from run.events(plan, counters, clock)


class _Run:
    """Sections, network and folder of a run."""

    def __init__(
        self,
        image: Image,
        folder: LearnFolder,
        settings: LearnSettings,
        config: InterpolationConfig,
        sections: Mapping[int, HiddenSection],
    ) -> None:
        self.image, self.folder, self.settings = image, folder, settings
        self.split = split(list(sections))
        self.kept_out = {index: sections[index] for index in self.split.kept_out}
        learnt_from = [sections[index] for index in self.split.sections]
        self.bounds = intensity_range(learnt_from)
        self.patches = Patches(learnt_from, self.bounds, settings, folder.scratch)
        self.learner = Learner(config, settings, choose_device(settings.device))
        self.untrained = untrained_scores(list(self.kept_out.values()))

    def affordable(self, seconds: float) -> tuple[int, int, float]:
        """Return the numbers of steps and of comparisons that fit into a computing time.

        With them the seconds that a comparison takes.
        """
        clock, trial = _clock(self.settings), deepcopy(self.learner)
        trial.step(self.patches.batch(0), 0.0)
        begun = clock()
        for step in range(TIMED_STEPS):
            trial.step(self.patches.batch(step), 0.0)
        a_step = (clock() - begun) / TIMED_STEPS
        begun = clock()
        self.interpolator(trial)(next(iter(self.kept_out.values())).neighbours)
        comparison = len(self.kept_out) * (clock() - begun)
        left = PLANNED_SHARE * (seconds - clock()) - comparison
        more = min(COMPARISONS - 1, int(max(0.0, COMPARING_SHARE * left / comparison)))
        steps = max(FEWEST_STEPS, int((left - more * comparison) / a_step))
        return steps, 1 + more, comparison

    def events(
        self, plan: LearnPlan, counters: LearnCounters, clock: Callable[[], float]
    ) -> Events:
        """Yield the steps and comparisons that are missing, and the result."""
        what, earlier = f"learning from {self.image.name}", counters.seconds

        def save() -> None:
            counters.seconds = earlier + clock()
            self.folder.write_state(self.learner.state(), counters)

        try:
            yield from self._steps(plan, counters, what, clock, save)
            progress = Progress(what, plan.steps, plan.steps, 0.0)
            last = self.comparison(counters.step, progress)
            yield last
        finally:
            save()
        self._save_model(plan, counters, last.scores)
        yield SectionsLearnt(
            progress=progress,
            model=self.folder.model,
            scores=last.scores,
            sections=self.split.sections,
            kept_out=self.split.kept_out,
            steps=counters.step,
            seconds=counters.seconds,
        )

    def _steps(
        self,
        plan: LearnPlan,
        counters: LearnCounters,
        what: str,
        clock: Callable[[], float],
        save: Callable[[], None],
    ) -> Events:
        """Make the missing steps, with comparisons and saves in between."""
        saved, eta = time.monotonic(), EtaEstimator(plan.steps)
        left = plan.seconds - counters.seconds if plan.seconds else math.inf
        every = -(-plan.steps // plan.comparisons)
        while counters.step < plan.steps and clock() < left:
            rate = learning_rate(plan.settings, counters.step, plan.steps)
            loss = self.learner.step(self.patches.batch(counters.step), rate)
            counters.step += 1
            expected = eta.seconds_left(counters.step)
            progress = Progress(what, counters.step, plan.steps, expected)
            yield LearnStepped(progress=progress, step=counters.step, loss=loss)
            if counters.step % every == 0 and counters.step < plan.steps:
                yield self.comparison(counters.step, progress)
            if time.monotonic() - saved > SAVE_EVERY_SECONDS:
                saved = time.monotonic()
                save()

    def interpolator(self, learner: Learner) -> NetworkInterpolator:
        return NetworkInterpolator(learner.network.eval(), *self.bounds)

    def comparison(self, step: int, progress: Progress) -> LearnCompared:
        """Compare the network as it is with the flow."""
        sections = list(self.kept_out.values())
        scores, made = interpolated_scores(self.interpolator(self.learner), sections)
        return LearnCompared(
            progress=progress,
            step=step,
            scores=MethodScores(learnt=scores, **self.untrained),
            index=self.split.kept_out[0],
            learnt=made,
            flow=sections[0].neighbours.blended(),
            truth=sections[0].truth,
        )

    def _save_model(self, plan: LearnPlan, counters: LearnCounters, scores: MethodScores) -> None:
        card = SectionModelCard(
            stack=self.image.name,
            network=plan.network,
            low=self.bounds[0],
            high=self.bounds[1],
            scores=scores,
            sections=self.split.sections,
            kept_out=self.split.kept_out,
            steps=counters.step,
            seconds=counters.seconds,
            summary=scores.words,
            versions=plan.versions,
        )
        weights = self.learner.network.state_dict()
        weights = {name: value.detach().cpu() for name, value in weights.items()}
        save_section_model(SectionModel(card=card, weights=weights), self.folder.model)


def untrained_scores(sections: Sequence[HiddenSection]) -> dict[str, SectionScores]:
    """Return the mean scores of all methods of `MethodScores` that learn nothing."""
    methods: dict[str, Interpolator] = {
        "flow": WarpedNeighbours.blended,
        "smoothed": lambda neighbours: blurred(neighbours.blended()),
        "mean": WarpedNeighbours.mean,
    }
    return {name: interpolated_scores(one, sections)[0] for name, one in methods.items()}


def interpolated_scores(
    interpolator: Interpolator, sections: Sequence[HiddenSection]
) -> tuple[SectionScores, np.ndarray]:
    """Return the mean scores of what is made in place of sections, and the first one made."""
    made = [interpolator(hidden.neighbours) for hidden in sections]
    scores = [
        hidden.score(one, float(np.ptp(hidden.truth)))
        for hidden, one in zip(sections, made, strict=True)
    ]
    return _mean(scores), made[0]


def _mean(scores: Sequence[SectionScores]) -> SectionScores:
    names = [one.name for one in fields(SectionScores)]
    return SectionScores(
        **{name: float(np.mean([getattr(one, name) for one in scores])) for name in names}
    )


def _clock(settings: LearnSettings) -> Callable[[], float]:
    """Return a function that tells the computing time since now, in seconds."""
    on_cpu = choose_device(settings.device).type == "cpu"
    now = time.process_time if on_cpu else time.monotonic
    begun = now()
    return lambda: now() - begun
