"""Arrays that no run would open any more are told with their size and removed; all others stay."""

import shutil

import numpy as np
import pytest
import yaml
from click.testing import CliRunner

from lib import arrays, store, trials
from lib.__main__ import main
from lib.store import Store, request
from tests.conftest import SAMPLE


@pytest.fixture
def place(made, tmp_path):
    """A store with all arrays of the sample set, and its trial table."""
    place = Store(tmp_path / "processed", made.store.dataset, made.store.data_root)
    shutil.copytree(made.store.folder, place.folder)
    trials.write(made.table, place.trials_path)
    return place


def run(place, name="mine", **changes):
    """A run folder that says which arrays it asks for."""
    places = {"data_root": place.data_root.parent, "processed_root": place.processed_root}
    values = {"recipe": "tsav", "dataset": "sample", "face_size": 32, "run": name}
    values |= {f"sample_{key}": value for key, value in SAMPLE.items()}
    values |= {key: str(value) for key, value in places.items()} | changes
    folder = place.processed_root.parent / "runs" / name
    folder.mkdir(parents=True)
    (folder / "params.yaml").write_text(yaml.safe_dump(values))
    return folder


def removed(place, *words):
    """What the command prints, and the names of the arrays that it removed."""
    before = {row["path"] for row in store.listing(place.processed_root)}
    command = ["store", "rm", "--unused", "--yes", "--root", str(place.processed_root)]
    command += ["--runs-root", str(place.processed_root.parent / "runs"), *words]
    done = CliRunner().invoke(main, command)
    left = {row["path"] for row in store.listing(place.processed_root)}
    return done, before - left


def older(place, made, name="mel", **changes):
    """The array of trial 4 as another version, or other inputs, made it."""
    trial = made.trial("4")
    located = arrays.locate(trial, request(name), place)
    owner = arrays.maker_of(located.request).owner
    shelf = place.shelf(owner, trial[owner])
    return str(shelf.write({**located.made_from, **changes}, np.zeros(7)))


def test_what_older_code_other_files_and_removed_trials_left_goes_all_else_stays(
    place, made, wanted
):
    run(place)
    gone = {older(place, made, version=0), older(place, made, inputs={"audio_44k": {"array": "0"}})}
    gone.add(str(place.shelf("trial", "nobody").write({"name": "va"}, np.zeros(7))))
    done, lost = removed(place)
    assert done.exit_code == 0, done.output
    assert gone <= lost
    told = f"{place.dataset}: {len(lost)} arrays that no run uses"
    assert told in done.output
    assert "MB freed" in done.output
    for row in made.table.to_dict("records"):
        arrays.check(row, wanted, place)
        assert all(arrays.locate(row, asked, place).exists for asked in wanted)
    again, lost = removed(place)
    assert (again.exit_code, lost) == (0, set())
    assert "is used by a run" in again.output


def test_words_narrow_it_and_another_face_size_is_unused(place, made):
    run(place, face_size=64)
    older(place, made, version=0)
    _, lost = removed(place, "face")
    assert {path.rsplit("/", 1)[1].split("-")[0] for path in lost} == {"face"}


def test_without_a_run_nothing_is_used_and_nothing_is_removed_unasked(place):
    runs_root = place.processed_root.parent / "runs"
    runs_root.mkdir()
    command = ["store", "rm", "--unused", "--root", str(place.processed_root)]
    command += ["--runs-root", str(runs_root)]
    done = CliRunner().invoke(main, command, input="n\n")
    assert done.exit_code == 1
    count = len(store.listing(place.processed_root))
    assert f"remove {count} arrays" in done.output


def test_a_folder_of_runs_that_is_not_there_stops_it(place):
    done, lost = removed(place)
    assert (done.exit_code, lost) == (2, set())
    assert "there is no folder of runs" in done.output
    assert str(place.processed_root.parent / "runs") in done.output


@pytest.mark.parametrize("share", [0, 0.25])
def test_a_run_whose_parameters_are_cut_off_stops_it(place, share):
    file = run(place) / "params.yaml"
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(lines[: int(share * len(lines))]))
    done, lost = removed(place)
    assert (done.exit_code, lost) == (2, set())
    assert str(file.parent) in done.output
    assert "does not say" in done.output


def test_a_run_whose_parameters_are_lost_stops_it(place):
    folder = run(place)
    (folder / "params.yaml").unlink()
    (folder / "checkpoints").mkdir()
    done, lost = removed(place)
    assert (done.exit_code, lost) == (2, set())
    assert str(folder) in done.output


def test_where_an_input_is_absent_all_arrays_of_the_trial_are_kept(place, made, monkeypatch):
    run(place)
    gone = older(place, made, version=0)
    lost = arrays.AbsentError("the recording is absent")

    def absent(trial, wanted, place):
        if trial["trial"] == "4" and wanted.name == "mel":
            raise lost
        return located(trial, wanted, place)

    located = arrays.locate
    monkeypatch.setattr(arrays, "locate", absent)
    done, removed_now = removed(place)
    assert gone not in removed_now
    assert "4: kept whole, as the recording is absent" in done.output


def test_a_run_that_cannot_be_read_stops_it(place):
    folder = run(place)
    (folder / "params.yaml").write_text("recipe: nobody\n")
    done, lost = removed(place)
    assert (done.exit_code, lost) == (2, set())
    assert str(folder) in done.output
    assert "cannot be told" in done.output


def test_a_run_whose_network_is_gone_keeps_the_arrays_of_its_trials(place):
    run(place, recipe="jca", backbone_run="nobody")
    done, lost = removed(place)
    assert (done.exit_code, lost) == (0, set())
    assert "4: kept whole, as " in done.output


def test_a_run_whose_options_no_longer_say_what_it_reads_stops_it_and_is_named(place):
    folder = run(place, recipe="features", options={"features": []})
    done, lost = removed(place)
    assert (done.exit_code, lost) == (2, set())
    assert str(folder) in done.output
    assert "cannot be told" in done.output


def test_nothing_named_is_refused(place):
    done = CliRunner().invoke(main, ["store", "rm", "--yes", "--root", str(place.processed_root)])
    assert done.exit_code == 2
