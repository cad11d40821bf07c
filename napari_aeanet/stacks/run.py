"""Align a stack of serial sections."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np

from napari_aeanet.core.arguments import as_path, check_type
from napari_aeanet.core.image import Image
from napari_aeanet.core.pieces import ONE_PROCESS, Mapper
from napari_aeanet.core.progress import (
    Progress,
    Progressed,
    ProgressOption,
    StepCounter,
    result_of,
    scaled,
)
from napari_aeanet.core.words import listed
from napari_aeanet.io import ImageSource
from napari_aeanet.registration import LARGEST_STRAIN, Deform, largest_strain
from napari_aeanet.stacks.following import ALLOWED, follow_sections
from napari_aeanet.stacks.local_motion import local_motions
from napari_aeanet.stacks.matching import Found, far_matches, near_matches
from napari_aeanet.stacks.outputs import save_places, side_files
from napari_aeanet.stacks.placing import place_sections
from napari_aeanet.stacks.reading import as_stack
from napari_aeanet.stacks.resampling import placed_section
from napari_aeanet.stacks.sections import LOWEST_CORRELATION
from napari_aeanet.stacks.settings import (
    FARTHEST,
    AlignedStack,
    AlignEvent,
    AlignSettings,
    SectionMatched,
    SectionState,
    StackAlignment,
)
from napari_aeanet.stacks.writing import check_stack_output, write_stack

DEFAULTS = AlignSettings()
#: Shares of the job that are done once sections are matched, and once their motion is measured.
MATCHED, FOLLOWED = 0.45, 0.6


def align_stack(
    source: ImageSource,
    settings: AlignSettings = DEFAULTS,
    *,
    out: str | Path | None = None,
    overwrite: bool = False,
    progress: ProgressOption = False,
) -> AlignedStack:
    """Shift and turn the sections of a stack so that neighbours fit, and straight stays straight.

    Where it is proven, local deformation of a section is followed too.

    Parameters
    ----------
    source
        A stack (z, y, x): an image, an array (also of dask, zarr or h5py) or a file.
    out
        File for the result. OME-Zarr is written section by section, so that the stack may be larger
        than memory. NAME-transforms.json and NAME-sections.csv are written beside it.
    overwrite
        Replace the files of an earlier alignment.

    Returns
    -------
    AlignedStack
        The stack, in the type of numbers and on the grid of the source, and the places of its
        sections. Where a section shows nothing it is zero.
    """
    events = align_stack_events(source, settings, out=out, overwrite=overwrite)
    return result_of(AlignedStack, events, progress)


def align_stack_events(
    source: ImageSource,
    settings: AlignSettings = DEFAULTS,
    *,
    out: str | Path | None = None,
    overwrite: bool = False,
    mapper: Mapper = ONE_PROCESS,
) -> Generator[AlignEvent, None, None]:
    """Align a stack as `align_stack` does; yield an event a section, and the result at last.

    Closing the generator stops the work; nothing is written then. `mapper` compares the sections
    and writes them.
    """
    check_type("settings", settings, AlignSettings)
    check_type("overwrite", overwrite, bool)
    image = as_stack(source)
    path = None if out is None else as_path("out", out)
    if path is not None:
        check_stack_output(image, path, side_files(path), overwrite)
    check_type("mapper", mapper, Mapper)
    mapper.check(image, path)
    return _aligned(image, settings, path, mapper)


def _aligned(
    image: Image, settings: AlignSettings, path: Path | None, mapper: Mapper
) -> Generator[AlignEvent, None, None]:
    matches = yield from scaled(_matched(image, settings, mapper), 0.0, MATCHED)
    alignment = place_sections(image.shape[0], image.plane_shape, matches)
    if settings.deform is Deform.AUTO:
        following = _followed(image, alignment, mapper)
        alignment = yield from scaled(following, MATCHED, FOLLOWED)
    notices = (*image.notices, *_remarks(alignment))
    places = list(enumerate(alignment.sections))
    writing = write_stack(image, image, placed_section, places, path, mapper)
    result = yield from scaled(writing, FOLLOWED, 1.0)
    if path is not None:
        save_places(alignment, path)
    count = len(alignment.sections)
    yield AlignedStack(
        progress=Progress(f"aligning {image.name}", count, count, 0.0, share=1.0),
        image=replace(result, source=path, notices=notices),
        alignment=alignment,
        notices=notices,
    )


def _matched(
    image: Image, settings: AlignSettings, mapper: Mapper
) -> Generator[AlignEvent, None, Found]:
    """Compare every section with those before it, and farther ones where too little matches."""
    found: Found = {}
    counter = StepCounter(f"comparing sections of {image.name}", image.shape[0], "section")
    near = partial(near_matches, reach=settings.reach)
    sections = range(image.shape[0])
    with closing(mapper.map(near, image, sections, overlap=settings.reach)) as results:
        for one in results:
            if one is None:
                yield Progressed(counter.unchanged())
                continue
            index, matches = one
            found |= matches
            highest = max((match.correlation for match in matches.values()), default=0)
            progress = counter.step()
            yield SectionMatched(progress=progress, index=index, correlation=highest)
    # Every match decides whether the next one is needed. It may have been begun before.
    farther = (
        (index - distance, index)
        for index in sections
        for distance in range(settings.reach + 1, FARTHEST + 1)
        if index >= distance and _is_weak(found, index - distance, index)
    )
    with closing(mapper.map(far_matches, image, farther)) as results:
        for far in results:
            if far is not None and _is_weak(found, *far[0]):
                found |= [far]
            yield Progressed(counter.unchanged())
    return {pair: found[pair] for pair in sorted(found, key=lambda pair: (pair[1], -pair[0]))}


def _followed(
    image: Image, alignment: StackAlignment, mapper: Mapper
) -> Generator[AlignEvent, None, StackAlignment]:
    """Measure the motion between matched neighbours, and add the deformation of the sections."""
    pairs = _neighbours(alignment)
    placed = [(index, one.array()) for index, one in enumerate(alignment.sections)]
    counter = StepCounter(f"comparing sections of {image.name} locally", len(pairs), "section")
    pieces = [(placed[first], placed[last]) for first, last in pairs]
    motions: dict[tuple[int, int], np.ndarray] = {}
    waiting = iter(pairs)
    with closing(mapper.map(local_motions, image, pieces, overlap=1)) as results:
        for one in results:
            if one is None:
                yield Progressed(counter.unchanged())
                continue
            if one.size:
                motions[next(waiting)] = one
            else:
                next(waiting)
            yield Progressed(counter.step())
    found = follow_sections(len(placed), alignment.shape, motions)
    sections = [
        replace(one, deformation=deformation)
        for one, deformation in zip(alignment.sections, found, strict=True)
    ]
    return replace(alignment, sections=tuple(sections))


def _neighbours(alignment: StackAlignment) -> list[tuple[int, int]]:
    """Return each matched section with the matched one before it, except across a break."""
    matched = [
        index
        for index, one in enumerate(alignment.sections)
        if one.state is not SectionState.INTERPOLATED
    ]
    apart = (SectionState.BREAK, SectionState.UNSURE)
    return [
        (first, last)
        for first, last in pairwise(matched)
        if alignment.sections[last].state not in apart
    ]


def _is_weak(found: Found, first: int, last: int) -> bool:
    """Return True if a gap between these sections is crossed by fewer than two matches."""
    near = range(max(0, first - FARTHEST), last + 1)
    matched = [
        (i, j)
        for i in near
        for j in range(i + 1, min(i + FARTHEST, last) + 1)
        if (i, j) in found and found[i, j].correlation >= LOWEST_CORRELATION
    ]
    crossing = [sum(i <= gap < j for i, j in matched) for gap in range(first, last)]
    return min(crossing) < 2


def _remarks(alignment: StackAlignment) -> list[str]:
    """Return what the user should look at, in plain sentences."""
    remarks = []
    numbers = alignment.indices(SectionState.INTERPOLATED)
    if len(numbers) == len(alignment.sections):
        return ["No section matches another one: all were left in their recorded places."]
    if numbers:
        one = len(numbers) == 1
        remarks.append(
            f"Section{'' if one else 's'} {listed(numbers)} {'has' if one else 'have'} nothing in "
            f"common with {'its' if one else 'their'} neighbours: placed between them. Look at "
            f"{'it' if one else 'them'}."
        )
    breaks = alignment.indices(SectionState.BREAK)
    unsure = alignment.indices(SectionState.UNSURE)
    if unsure:
        remarks.append(
            f"Only a weak match was found across the stack before section {listed(unsure)}: the "
            "parts on either side may not fit. Look at that place."
        )
    if breaks:
        remarks.append(
            f"No match was found across the stack before section {listed(breaks)}: the parts on "
            "either side lie as they were recorded to each other. Look at that place."
        )
    limited = [
        index
        for index in alignment.deformed()
        if _strain(alignment, index) > 0.999 * ALLOWED * LARGEST_STRAIN
    ]
    if limited:
        remarks.append(
            f"Section{'' if len(limited) == 1 else 's'} {listed(limited)} would fold if followed "
            "fully: followed in part. Look for folds and tears."
        )
    return remarks


def _strain(alignment: StackAlignment, index: int) -> float:
    deformation = alignment.sections[index].deformation
    return 0.0 if deformation is None else largest_strain(deformation.coefficients)
