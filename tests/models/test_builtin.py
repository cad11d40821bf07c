"""Models by name: the one that comes with the program, and files that are not there."""

import pytest

from napari_aeanet.models import demo_model, load_model, read_card


def test_demo_is_the_model_in_the_package(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load_model("demo").path == demo_model()
    assert read_card("demo").name == load_model(demo_model()).card.name


def test_a_file_called_demo_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo").write_bytes(b"no model")
    with pytest.raises(ValueError, match="demo: not a model file"):
        load_model("demo")


def test_the_path_in_the_package_of_another_computer_is_understood(tmp_path):
    assert load_model(tmp_path / "elsewhere" / demo_model().name).path == demo_model()


def test_a_name_that_is_no_file_is_refused_with_the_models_there_are(tmp_path):
    for number in range(7):
        (tmp_path / f"sem{number}.aeanet").touch()
    with pytest.raises(FileNotFoundError) as caught:
        load_model(tmp_path / "sme.aeanet")
    text = str(caught.value)
    assert "sme.aeanet: there is no such model file" in text
    assert "sem0.aeanet" in text and "sem4.aeanet, ..." in text and "demo" in text
    with pytest.raises(FileNotFoundError, match="nowhere"):
        load_model(tmp_path / "nowhere" / "sem.aeanet")


def test_a_folder_is_no_model(tmp_path):
    with pytest.raises(IsADirectoryError, match=r"name the model file in it"):
        load_model(tmp_path)
