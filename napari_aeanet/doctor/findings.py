"""Turn facts about a computer into findings, each one sentence with its advice."""

from __future__ import annotations

from collections.abc import Iterator

from napari_aeanet.doctor.facts import required_packages
from napari_aeanet.doctor.settings import (
    PYTORCH,
    SELF_TEST,
    CardFacts,
    ComputerFacts,
    Condition,
    Finding,
    Package,
    SelfTestFacts,
    TorchFacts,
)

GOOD, NOTE, BROKEN = Condition.GOOD, Condition.NOTE, Condition.BROKEN
OLDEST, NEWEST_TESTED = (3, 11), (3, 13)
GB = 1e9
# Restoring needs about 1 GB beside the program, training 2 to 4 GB.
LITTLE_MEMORY, TOO_LITTLE_MEMORY = 2.0, 0.5
LITTLE_DISK, TOO_LITTLE_DISK = 2.0, 0.1
CPU_BUILD = "pip install torch --index-url https://download.pytorch.org/whl/cpu"
CUDA_BUILD = "take the line for CUDA from https://pytorch.org/get-started/locally"
WITH_NAPARI = 'pip install "napari-aeanet[all]"'
QT_LIBRARIES = "libegl1 libgl1 libxkbcommon-x11-0 libxcb-cursor0 libdbus-1-3"


def basic_findings(facts: ComputerFacts) -> Iterator[Finding]:
    """Yield the findings on Python, packages, memory, disk and cores."""
    yield _about_python(facts)
    yield from _about_packages([p for p in facts.packages if not p.extra and p.name != "torch"])
    yield _about_memory(facts)
    yield from _about_disk(facts)
    yield _about_cores(facts)


def torch_findings(facts: ComputerFacts) -> Iterator[Finding]:
    """Yield the findings on PyTorch and the graphics card."""
    torch = facts.torch
    required = next((p for p in facts.packages if p.name == "torch"), None)
    if torch is None and required is not None and required.version is None:
        text = "PyTorch is not installed: images can be read and registered, but not restored."
        yield Finding(PYTORCH, BROKEN, text, f"Install it: {CPU_BUILD}")
    elif torch is None:
        reason = facts.errors.get("torch", "unknown error")
        text = f"PyTorch is installed, but cannot be loaded ({reason})."
        yield Finding(PYTORCH, BROKEN, text, f"Install it anew: {CPU_BUILD} --force-reinstall")
    elif required is not None and _is_older(torch.version, required.lowest):
        text = f"PyTorch {torch.version} is installed, {required.lowest} or later is needed."
        yield Finding(PYTORCH, BROKEN, text, f"Update it: {CPU_BUILD} --upgrade")
    else:
        build = f"CUDA {torch.cuda}" if torch.cuda else "the Apple GPU" if torch.mps else "the CPU"
        yield Finding(PYTORCH, GOOD, f"{torch.version}, built for {build}.")
    if torch is not None:
        yield _about_card(facts, torch)


def qt_findings(facts: ComputerFacts) -> Iterator[Finding]:
    """Yield the findings on napari and Qt; both may be missing on a server."""
    parts = [package for package in facts.packages if package.extra]
    napari = next((package for package in parts if package.name == "napari"), None)
    if napari is None or napari.version is None:
        text = "napari is not installed; the command line and Python need no napari."
        yield Finding("napari", NOTE, text, f"For the docks: {WITH_NAPARI}")
        return
    yield from _about_packages(parts, "napari")
    if facts.qt is None:
        reason = facts.errors.get("qt", "")
        if "No Qt bindings" in reason or "QtBindingsNotFound" in reason:
            text = "Qt is missing: napari cannot open, the command line works."
            yield Finding("Qt", BROKEN, text, f"Install a Qt binding: {WITH_NAPARI}")
        else:
            text = f"Qt is installed, but cannot be loaded ({reason or 'unknown error'})."
            advice = f"On Debian and Ubuntu: sudo apt install {QT_LIBRARIES}"
            yield Finding("Qt", BROKEN, text, advice)
    elif facts.opencv_with_qt:
        text = f"{facts.qt.binding} {facts.qt.version}, beside a second Qt in opencv-python."
        advice = "If napari crashes: pip uninstall opencv-python (the headless one is enough)."
        yield Finding("Qt", NOTE, text, advice)
    elif not facts.qt.screen:
        text = f"{facts.qt.binding} {facts.qt.version}, but there is no screen here."
        yield Finding("Qt", NOTE, text, "Use the command line, or log in with a desktop.")
    else:
        yield Finding("Qt", GOOD, f"{facts.qt.binding} {facts.qt.version}.")


def self_test_finding(found: SelfTestFacts) -> Finding:
    """Return the finding on a self-test that ran to its end."""
    topic = f"{SELF_TEST} on {found.device}"
    if found.difference <= found.limit:
        text = (
            f"A test image was restored in {found.seconds:.0f} s, and differs from the stored "
            f"result by {found.difference:.1g} of its range."
        )
        return Finding(topic, GOOD, text)
    text = (
        f"A restored test image differs from the stored result by {found.difference:.1g} of its "
        f"range; {found.limit:g} is the limit."
    )
    return Finding(topic, BROKEN, text, _computes_wrongly(found.device))


def failed_self_test(device: str, reason: str) -> Finding:
    """Return the finding on a self-test that ended with an error."""
    text = f"A test image could not be restored ({reason})."
    advice = _computes_wrongly(device)
    return Finding(f"{SELF_TEST} on {device}", BROKEN, text, advice)


def _computes_wrongly(device: str) -> str:
    if device == "cpu":
        return f"Install PyTorch anew ({CPU_BUILD} --force-reinstall), and check again."
    return "Compute with --device cpu until the driver of the card is updated."


def _about_python(facts: ComputerFacts) -> Finding:
    version = tuple(int(part) for part in facts.python.split(".")[:2])
    where = f"{facts.system}, {facts.machine}"
    text = f"{facts.python} on {where} ({facts.python_path})."
    if version < OLDEST:
        text = f"{facts.python} is too old: napari-aeanet needs 3.11 or later."
        return Finding("Python", BROKEN, text, "Make a new environment with Python 3.12.")
    if facts.bits != 64:
        text = f"{facts.python} is a 32-bit program, for which there is no PyTorch."
        return Finding("Python", BROKEN, text, "Install a 64-bit Python.")
    if version > NEWEST_TESTED:
        text = f"{facts.python} on {where} is newer than the tested 3.11 to 3.13."
        return Finding("Python", NOTE, text, "If anything fails, take Python 3.12.")
    return Finding("Python", GOOD, text)


def _about_packages(packages: list[Package], topic: str = "Packages") -> Iterator[Finding]:
    """Yield a finding for every package that is missing or too old, or one for all."""
    wrong = False
    for package in packages:
        wanted = f"{package.name}>={package.lowest}" if package.lowest else package.name
        if package.version is None:
            text = f"{package.name} is missing."
        elif _is_older(package.version, package.lowest):
            text = f"{package.name} {package.version} is older than the lowest, {package.lowest}."
        else:
            continue
        wrong = True
        yield Finding(topic, BROKEN, text, f'Run: pip install --upgrade "{wanted}"')
    if not wrong and topic == "napari":
        version = next(p.version for p in packages if p.name == "napari")
        yield Finding(topic, GOOD, f"{version} with everything that the docks need.")
    elif not wrong and packages:
        yield Finding(topic, GOOD, f"All {len(packages)} required packages are new enough.")
    elif not packages:
        text = "napari-aeanet is not installed, so the required versions are unknown."
        yield Finding(topic, NOTE, text, "Install it with pip, also from a source folder.")


def _about_card(facts: ComputerFacts, torch: TorchFacts) -> Finding:
    """Return the finding on the graphics card: build against card, CUDA against driver."""
    card, topic = facts.card, "Graphics card"
    if torch.devices and torch.trouble:
        text = f"{torch.devices[0]} is found, but does not compute ({torch.trouble})."
        return Finding(topic, BROKEN, text, "Use --device cpu, or another build of PyTorch.")
    if torch.devices:
        return Finding(topic, GOOD, f"{', '.join(torch.devices)} with CUDA {torch.cuda}.")
    if torch.mps == "usable":
        return Finding(topic, GOOD, "The Apple GPU is used.")
    if torch.mps == "unusable":
        text = "The Apple GPU is not used: it needs macOS 14 or later."
        return Finding(topic, NOTE, text, "Update macOS, or compute on the CPU.")
    if card is None and facts.system.startswith("macOS") and facts.machine == "arm64":
        text = "The Apple GPU is not used: this Python or PyTorch is made for Intel."
        return Finding(topic, NOTE, text, "Install the Python for Apple silicon (arm64).")
    if card is None and torch.cuda:
        text = "There is no NVIDIA card with a driver; this PyTorch is built for one, in gigabytes."
        return Finding(topic, NOTE, text, f"To save 5 GB: pip uninstall torch; then {CPU_BUILD}")
    if card is None:
        return Finding(topic, GOOD, "There is no NVIDIA card; the CPU computes.")
    return _about_unused_card(facts, torch, card)


def _about_unused_card(facts: ComputerFacts, torch: TorchFacts, card: CardFacts) -> Finding:
    """Return the reason why PyTorch does not use a card that has a driver."""
    topic, name = "Graphics card", ", ".join(card.names) or "the NVIDIA card"
    if not torch.cuda:
        text = f"PyTorch {torch.version} is built for the CPU and does not use {name}."
        return Finding(topic, NOTE, text, f"To compute on the card, {CUDA_BUILD}.")
    if facts.hidden_cards:
        text = f"{name} is hidden by the variable CUDA_VISIBLE_DEVICES."
        return Finding(topic, NOTE, text, "Unset it to compute on the card.")
    # A driver serves every CUDA of its main version.
    if card.cuda and _main(card.cuda) < _main(torch.cuda):
        text = (
            f"The driver {card.driver} of {name} serves CUDA up to {card.cuda}, and PyTorch is "
            f"built for {torch.cuda}: the CPU computes instead."
        )
        advice = "Update the driver of the card (nvidia.com/drivers), and restart."
        return Finding(topic, BROKEN, text, advice)
    reason = f" ({torch.trouble})" if torch.trouble else ""
    text = f"PyTorch cannot use {name}{reason}: the CPU computes instead."
    return Finding(topic, BROKEN, text, "Restart, and update the driver if that does not help.")


def _about_memory(facts: ComputerFacts) -> Finding:
    if facts.memory is None or facts.free_memory is None:
        text = "The memory is unknown, since psutil is missing."
        return Finding("Memory", NOTE, text, "Run: pip install psutil")
    free, total = facts.free_memory / GB, facts.memory / GB
    text = f"{free:.1f} of {total:.1f} GB are free."
    if free < TOO_LITTLE_MEMORY:
        return Finding("Memory", BROKEN, text, "Close other programs before restoring.")
    if free < LITTLE_MEMORY:
        advice = "Close other programs before training, and train with smaller patches."
        return Finding("Memory", NOTE, text, advice)
    return Finding("Memory", GOOD, text)


def _about_disk(facts: ComputerFacts) -> Iterator[Finding]:
    for folder, count in facts.free_disk.items():
        free = count / GB
        text = f"{free:.1f} GB are free on the disk of {folder}."
        if free < LITTLE_DISK:
            condition = BROKEN if free < TOO_LITTLE_DISK else NOTE
            yield Finding("Disk", condition, text, "Free some space, or write to another disk.")
        else:
            yield Finding("Disk", GOOD, text)


def _about_cores(facts: ComputerFacts) -> Finding:
    cores = f"{facts.cores} core{'s' if facts.cores > 1 else ''}"
    if facts.thread_limit.isdigit() and int(facts.thread_limit) < facts.cores:
        text = f"OMP_NUM_THREADS={facts.thread_limit} leaves some of {cores} unused."
        return Finding("Cores", NOTE, text, "Unset it to compute faster.")
    return Finding("Cores", GOOD, f"{cores} can be used.")


def too_old(name: str) -> str:
    """Return the reason why the installed version of a package is too old; empty if it is not."""
    for package in required_packages(only=name):
        if package.version is not None and _is_older(package.version, package.lowest):
            return (
                f"napari-aeanet needs {name} {package.lowest} or later, and {package.version} is "
                f'installed. Run: pip install --upgrade "{name}>={package.lowest}"'
            )
    return ""


def _is_older(version: str, lowest: str) -> bool:
    from packaging.version import InvalidVersion, Version

    try:
        return bool(lowest) and Version(version) < Version(lowest)
    except InvalidVersion:
        return False


def _main(version: str) -> int:
    return int(version.split(".")[0])
