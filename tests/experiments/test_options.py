"""What a person types behind -p arrives as it was meant."""

from pathlib import Path

import pytest

from lib import parameters
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
