"""The one table of deviations: what recipes declare, what parameter files have, what the page
says.
"""

import re

import pytest

from lib import grammar, parameters, recipes
from lib.errors import InputError
from lib.files import ROOT
from lib.recipes import papers
from lib.recipes.papers import Difference, Paper, Setting

# They follow no paper's training.
OWN = {"utterance", "features", "lfan_backbone", "expression", "gated_fusion"}
PUBLISHED = re.compile(r"(affwild2|ego4d)_\w+")
UNTRAINED = {"affwild2_tsav_published", "affwild2_jca_published", "ego4d_clips"}


def files():
    return [file for paper in papers.declared().values() for file in paper.files]


def test_the_table_of_the_page_is_the_one_of_declarations_and_parameter_files():
    """After a change: ``python -c "from lib.recipes import papers; papers.write()"``."""
    assert papers.on_page() == papers.table()


def test_every_recipe_declares_its_paper_or_follows_none():
    assert papers.declared().keys() == set(recipes.NAMES) - OWN
    page = papers.PAGE.read_text(encoding="utf-8")
    assert [name for name in OWN if f"`{name}`" not in page] == []


def test_every_parameter_file_that_trains_on_a_published_data_set_is_in_a_declaration():
    named = {path.stem for path in (ROOT / "params").glob("*.yaml") if PUBLISHED.match(path.stem)}
    assert sorted(files()) == sorted(named - UNTRAINED)


def test_declared_names_are_parameters():
    known, options = grammar.all_declared(), parameters.recipes()
    for recipe, paper in papers.declared().items():
        for setting in paper.settings:
            group, _, name = setting.key.rpartition(".")
            assert name in (options[recipe] if group == "options" else known), setting.key


def test_no_reason_is_given_for_what_no_parameter_file_changes():
    told = {row.what.strip("`") for row in papers.rows()}
    for paper in papers.declared().values():
        without = [each.key for each in paper.settings if each.why and each.key not in told]
        assert without == []


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("affwild2_tsav", "lr: 5.0e-4", "lr: 1.0e-4"),
        ("affwild2_jca", "phases: 32", "phases: 1"),
        ("affwild2_jca", "patience: 0", "patience: 10"),
        ("affwild2_lfan", "batch_size: 8", "batch_size: 9"),
    ],
)
def test_a_parameter_file_that_leaves_the_paper_needs_a_reason(file, old, new):
    values = parameters.complete(parameters.load([ROOT / "params" / f"{file}.yaml"]))
    text = new.partition(": ")
    changed = {text[0]: type(_of(values, text[0]))(float(text[2]))}
    options = {**values["options"], **{k: v for k, v in changed.items() if k in values["options"]}}
    paper = papers.declared()[values["recipe"]]
    list(papers.of_file(paper, file, values))
    with pytest.raises(InputError, match=rf"{text[0]} is .*, and the paper has"):
        list(papers.of_file(paper, file, {**values, **changed, "options": options}))


def _of(values, name):
    return values["options"].get(name, values.get(name))


def test_a_difference_with_a_reason_is_a_row_and_the_same_value_is_none():
    paper = Paper(
        ("x",),
        (Setting("lr", 0.1), Setting("epochs", 3, "a reason", "the fork")),
        (Difference("order", "fixed", "random", "better", only_corrected=False),),
    )
    rows = list(papers.of_file(paper, "x", {"lr": 0.1, "epochs": 5}))
    assert [(row.what, row.paper, row.ours, row.why) for row in rows] == [
        ("`epochs`", "3 (the fork)", "5", "a reason"),
        ("order", "fixed", "random (under both rules)", "better"),
    ]


def test_the_page_is_written_between_its_marks(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"before\n{papers.BEGIN}\n{papers.END}\nafter\n")
    papers.write(page)
    text = papers.write(page).read_text()
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert papers.on_page(page) == papers.table()
    page.write_text("nothing")
    with pytest.raises(InputError, match="no place for the table"):
        papers.write(page)


@pytest.mark.parametrize("name", ["jca", "rjca", "dca", "jca_paper"])
def test_fusion_on_affwild2_sees_every_phase_and_is_not_ended_early(name):
    values = parameters.complete(parameters.load([ROOT / "params" / f"affwild2_{name}.yaml"]))
    assert values["options"]["phases"] == values["step_hop"]
    assert values["patience"] == 0
    assert values["schedule"] == "constant"


def test_tsav_on_affwild2_begins_pretrained_and_learns_three_tasks():
    values = parameters.complete(parameters.load([ROOT / "params" / "affwild2_tsav.yaml"]))
    assert values["options"]["initial"] == "pretrained"
    assert values["options"]["tasks"] == ["va", "expression", "action_units"]


@pytest.mark.parametrize("name", ["lfan", "lfan_visual"])
def test_lfan_as_published_is_the_parameter_file_with_two_values(name):
    """``-p rules published -p emotion valence``: no number is left that is not the paper's."""
    values = parameters.load([ROOT / "params" / f"affwild2_{name}.yaml"])
    values = parameters.complete({**values, "rules": "published", "emotion": "valence"})
    paper = papers.declared()["lfan"]
    rows = list(papers.of_file(paper, name, values))
    assert [row for row in rows if row.what.startswith("`")] == []


# ---- weights in another folder
def test_shipped_names_of_weights_follow_weights_root(tmp_path):
    options = {"start_from": "weights/not_there.pth"}
    values = {"recipe": "tsav", "weights_root": str(tmp_path), "options": options}
    full = parameters.complete({**values, "predict_run": "weights/not_there.model"})
    assert full["predict_run"] == str(tmp_path / "not_there.model")
    assert full["options"]["start_from"] == str(tmp_path / "not_there.pth")


@pytest.mark.parametrize("named", ["a_run", "elsewhere/net.pt", ""])
def test_runs_and_other_files_do_not_follow_weights_root(tmp_path, named):
    values = {"recipe": "tsav", "weights_root": str(tmp_path), "options": {"start_from": named}}
    full = parameters.complete({**values, "predict_run": named})
    assert (full["predict_run"], full["options"]["start_from"]) == (named, named)
