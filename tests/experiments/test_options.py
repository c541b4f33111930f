"""What a person types behind -p arrives as it was meant."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from lib import parameters
from lib.__main__ import main
from lib.experiments import options
from lib.files import ROOT

EXPERIMENT = ROOT / "params" / "sample_tsav.yaml"


def read(**overrides):
    return parameters.complete(parameters.load([EXPERIMENT], overrides))


@pytest.mark.parametrize(
    "text",
    ["/data/Study #2", "@me.mp4", "[2024] talk", "a: b", "no", "null", "{x}", "1e3", "- a", "%"],
)
def test_text_is_taken_as_it_stands(text):
    assert read(data_root=text)["data_root"] == text


@pytest.mark.parametrize("text", ['""', "''", ""])
def test_nothing_is_the_empty_text(text):
    assert read(predict_run=text)["predict_run"] == ""


def test_numbers_lists_and_switches_are_read_by_their_type():
    found = read(lr="1e-4", epochs="3", compiled="no", trials="[171, a b]", width="0.5")
    assert (found["lr"], found["epochs"], found["compiled"]) == (1e-4, 3, False)
    assert found["trials"] == ["171", "a b"]


def test_paths_count_from_where_the_person_stands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("net.pt").write_text("")
    pairs = [("data_root", "Study #2"), ("data_root", "/abs"), ("predict_run", "net.pt")]
    pairs += [("predict_run", "a_run"), ("weights_root", '""'), ("lr", "0.1")]
    assert options.from_here(pairs) == (
        ("data_root", str(tmp_path / "Study #2")),
        ("data_root", "/abs"),
        ("predict_run", str(tmp_path / "net.pt")),
        ("predict_run", "a_run"),
        ("weights_root", ""),
        ("lr", "0.1"),
    )
    for name in ("jca", "3"):  # a file of that name means nothing where no file belongs
        Path(name).write_text("")
    assert options.from_here([("recipe", "jca"), ("epochs", "3")]) == (
        ("recipe", "jca"),
        ("epochs", "3"),
    )
    assert options.from_here([("run", "x" * 9000), ("predict_run", "x" * 9000)])[0][0] == "run"


def test_a_parameter_that_is_set_twice_is_refused_not_chosen_among():
    words = ["run", str(EXPERIMENT), "--from", "03", "--to", "01"]
    once = CliRunner().invoke(main, [*words, "-p", "lr", "0.1", "-p", "lr", "0.1"])
    assert "no notebook is left to execute from 03 to 01" in once.output
    twice = CliRunner().invoke(main, [*words, "-p", "lr", "0.1", "-p", "lr", "0.2"])
    assert twice.exit_code == once.exit_code == 2
    assert "lr is set twice: 0.1 and 0.2" in twice.output
