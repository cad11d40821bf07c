"""The session keeps pairs, models and one job for the docks of one viewer."""

from dataclasses import replace

import numpy as np
import pytest
from helpers import Gate, micrograph

from napari_aeanet.core.image import Image
from napari_aeanet.core.progress import Progress, Progressed
from napari_aeanet.gui.common.job import Job
from napari_aeanet.gui.common.session import Decision, PairEntry, Session, session_of
from napari_aeanet.pairs.pair import ImagePair
from napari_aeanet.registration.result import Registration, Verdict
from napari_aeanet.registration.transforms import TransformKind


def registered(verdict):
    registration = Registration(
        matrix=np.eye(3),
        kind=TransformKind.SIMILARITY,
        source_shape=(48, 64),
        target_shape=(48, 64),
        verdict=verdict,
        reason="for this test",
        matches=np.empty((0, 2, 2)),
        drift_vectors=np.empty((0, 2, 2)),
    )
    return ImagePair(micrograph(), micrograph(seed=1), registration)


@pytest.mark.parametrize(
    ("verdict", "decision", "usable", "acceptable"),
    [
        (Verdict.GOOD, Decision.NONE, True, False),
        (Verdict.GOOD, Decision.REJECTED, False, True),
        (Verdict.DRIFTS, Decision.NONE, True, False),
        (Verdict.DOUBTFUL, Decision.NONE, False, True),
        (Verdict.DOUBTFUL, Decision.ACCEPTED, True, False),
        (Verdict.FAILED, Decision.NONE, False, True),
    ],
)
def test_the_verdict_and_the_user_decide_about_a_pair(verdict, decision, usable, acceptable):
    entry = PairEntry(registered(verdict), decision)
    assert entry.is_usable is usable
    assert entry.could_be_accepted is acceptable


def test_a_pair_that_could_not_be_registered_can_be_used_as_its_images_lie():
    session, failed = Session(), registered(Verdict.FAILED)
    session.add_pairs([failed])
    assert not session.pairs[0].is_usable
    session.decide(session.pairs[0], Decision.ACCEPTED)
    (pair,) = session.usable_pairs
    assert pair.registration is None
    assert session.pairs[0].as_decided().accepted  # in the saved list too
    assert session.pairs[0].is_settled
    finer = replace(failed, target=replace(failed.target, pixel_size=(5.0, 5.0)))
    assert not PairEntry(finer).could_be_accepted  # same shape, half the field


def test_an_unregistered_pair_of_two_magnifications_is_not_used():
    source, target = micrograph(), micrograph(seed=1)
    assert PairEntry(ImagePair(source, target)).is_usable
    finer = replace(target, pixel_size=(5.0, 5.0))  # same shape, half the field
    assert not PairEntry(ImagePair(source, finer)).is_usable


def test_an_unregistered_pair_on_grids_that_do_not_fit_is_not_used():
    target = Image(np.zeros((50, 200), np.uint8), "YX")
    assert not PairEntry(ImagePair(micrograph(), target)).is_usable


def test_registering_a_pair_voids_what_was_decided_before():
    session = Session()
    pair = ImagePair(micrograph(), micrograph(seed=1))
    session.add_pairs([pair])
    session.decide(session.pairs[0], Decision.REJECTED)
    assert session.usable_pairs == ()
    new = registered(Verdict.GOOD)
    session.replace_pair(pair, new)
    assert session.usable_pairs == (new,)


def test_changes_are_announced(card_file):
    session, heard = Session(), []
    session.pairs_changed.connect(lambda: heard.append("pairs"))
    session.models_changed.connect(lambda: heard.append("models"))
    session.add_pairs([registered(Verdict.GOOD)])
    session.add_model(card_file())
    assert heard == ["pairs", "models"]


def test_an_added_model_is_chosen_and_listed_first(card_file):
    session = Session()
    first, second = card_file("first"), card_file("second")
    session.add_model(first)
    session.add_model(second)
    assert session.model == second
    assert list(session.models) == [second, first]
    session.choose_model(first)
    assert session.card.name == "first"


def test_models_of_one_name_are_told_apart_by_their_folders(card_file, tmp_path):
    session = Session()
    alone, first = card_file("alone"), card_file("root")
    second = tmp_path / "root-2" / "best.aeanet"
    second.parent.mkdir()
    second.write_bytes(first.read_bytes())
    for path in (alone, first, second):
        session.add_model(path)
    names = session.model_names
    assert names[alone] == "alone"
    assert (names[first], names[second]) == (f"root ({tmp_path.name})", "root (root-2)")


def test_models_of_earlier_runs_are_found(home, card_file):
    run = home / "AEANet" / "a run"
    run.mkdir(parents=True)
    card_file("earlier").rename(run / "best.aeanet")
    (run / "damaged.aeanet").write_text("not a model")
    session = Session()
    session.find_models()
    assert "earlier" in [card.name for card in session.models.values()]
    assert run / "damaged.aeanet" not in session.models


def test_a_second_job_is_refused_in_words_while_one_runs(session, finish):
    gate = Gate()

    def steps():
        gate.wait()
        yield Progressed(Progress("restoring S05", 1, 1))

    session.start(Job("restoring S05", steps))
    with pytest.raises(RuntimeError, match="busy restoring S05"):
        session.start(Job("training", steps))
    gate.open()
    finish(session)
    gate.open()
    session.start(Job("training", steps))
    finish(session)


def test_every_viewer_has_one_session(viewer):
    from napari.utils._proxies import PublicOnlyProxy

    assert session_of(viewer) is session_of(viewer)
    assert session_of(PublicOnlyProxy(viewer)) is session_of(viewer)
