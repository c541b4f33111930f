"""A folder of recordings with labels of one's own: by name, by annotator, by row; what fits nothing
is named.
"""

import numpy as np
import pytest

from lib import arrays, trials
from lib.datasets import check, folder
from lib.errors import InputError
from lib.evaluation import delays
from lib.experiments import bookkeeping
from lib.media import writing
from lib.plots import preprocessing
from lib.store import Store, request
from tests.labels.test_own_labels import MELD, OMG, RECOLA

VA, N = request("va", mismatch="fit"), 10
TABLE = "time,valence,arousal\n" + "".join(f"{k / 6:.8f},{k / 10},0.5\n" for k in range(4))


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    writing.write_video(
        path, (np.full((32, 32, 3), 20 * k, np.uint8) for k in range(N)), np.arange(N) / 25
    )
    return path.read_bytes()


@pytest.fixture
def root(tmp_path, clip):
    def place(**files):
        for name, content in files.items():
            path = tmp_path / "data" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(clip if content is None else content.encode())
        return tmp_path / "data"

    return place


def rows_of(root, trial, **rules):
    table = folder.find(root)[0]
    place = Store(root.parent / "processed", "folder", root, **rules)
    row = table.set_index("trial", drop=False).loc[trial].to_dict()
    made = arrays.make(row, VA, place)
    return np.asarray(arrays.read(row, VA, place)), made, row, place


def told(report):
    return report.problem_table().set_index("item")


def test_a_table_of_its_own_beside_a_video_becomes_labels_of_frames(root):
    place = root(**{"anna.mp4": None, "anna.csv": TABLE})
    rows, made, _, _ = rows_of(place, "anna")
    assert np.allclose(rows[:, 0], np.arange(N) / 25 * 0.6, atol=1e-5)
    assert made["note"] == "6 Hz → 25 frames/s, linear"


def test_delay_and_method_make_other_arrays_side_by_side(root):
    place = root(**{"anna.mp4": None, "anna.csv": TABLE})
    plain, first, row, _ = rows_of(place, "anna")
    late, second, _, _ = rows_of(place, "anna", label_delay=0.1)
    held, third, _, _ = rows_of(place, "anna", label_resample="hold")
    assert np.allclose(late[:, 0], plain[:, 0] + 0.06, atol=1e-5)
    assert set(np.round(held[:, 0].astype(float), 3)) == {0.0, 0.1, 0.2}
    assert len({made["path"] for made in (first, second, third)}) == 3
    assert trials.label_files(row["va_path"]) == (["anna.csv"], "")


def test_a_folder_an_annotator_is_averaged_and_its_agreement_is_shown(root):
    other = TABLE.replace(",0.5", ",0.3")
    place = root(**{"anna.mp4": None, "labels/one/anna.csv": TABLE, "labels/two/anna.csv": other})
    rows, made, _, store = rows_of(place, "anna")
    assert np.allclose(rows[:, 1], 0.4)
    assert made["note"].startswith("mean of 2 annotators, mean pairwise CCC 1.00 (valence)")
    shown = preprocessing.agreement(folder.find(place)[0], store)
    assert shown.iloc[0][["trial", "annotators", "valence"]].tolist() == [
        "anna",
        2,
        pytest.approx(1.0),
    ]
    assert len(bookkeeping.sources(folder.find(place)[0], store, ["va_path"], [])) == 2


def test_a_folder_an_annotator_may_hold_files_of_elan_and_transcripts_count_for_nobody(root):
    pytest.importorskip("pympi")
    from tests.labels.test_elan_tiers import eaf  # which is skipped as a whole without it

    ratings = [eaf({"valence": value, "arousal": "0"}) for value in ("0.2", "0.6")]
    folders = dict(zip(("labels/r1", "labels/r2"), ratings, strict=True))
    folders["labels/words"] = eaf({"speech": "hello"})
    place = root(**{"anna.mp4": None}, **{f"{name}/anna.eaf": folders[name] for name in folders})
    rows, made, _, _ = rows_of(place, "anna")
    assert np.allclose(rows, [0.4, 0])
    assert "mean of 2 annotators" in made["note"]


def test_two_names_for_one_trial_are_named_and_the_other_annotators_count(root):
    place = root(
        **{
            "anna.mp4": None,
            "ben.mp4": None,
            "labels/one/anna.csv": TABLE,
            "labels/one/ben.csv": TABLE,
            "labels/two/anna_final.csv": TABLE,
            "labels/two/ben.csv": TABLE,
        }
    )
    report = told(folder.find(place)[1])
    assert report.loc["anna_final", "severity"] == "error"
    assert report.loc["anna_final", "expected"] == "anna.csv"
    assert "two has no label file of this trial, others have" in set(report.loc["anna", "what"])
    assert np.isfinite(rows_of(place, "anna")[0]).any()


def test_recola_folders_of_two_emotions_fit_by_name(root):
    place = root(**{"P16.mp4": None, "arousal/P16.csv": RECOLA, "valence/P16.csv": RECOLA})
    rows, made, _, _ = rows_of(place, "P16")
    assert np.allclose(rows[0], [0.2, 0.2])
    assert "3 annotators" in made["note"]


def test_rows_of_utterances_find_their_recordings_and_tell_the_split(root):
    place = root(
        **{
            "abc/utterance_1.mp4": None,
            "abc/utterance_2.mp4": None,
            "dia0_utt3.mp4": None,
            "omg_TrainVideos.csv": OMG,
            "train_sent_emo.csv": MELD,
            "omg_TestVideos.csv": OMG.replace("abc", "x"),
        }
    )
    table, report = folder.find(place)
    table = table.set_index("trial")
    assert table.loc["utterance_2", "va_path"] == "omg_TrainVideos.csv::abc/utterance_2"
    assert table.loc["dia0_utt3", ["va_path", "expression_path"]].tolist() == [
        "",
        "train_sent_emo.csv::dia0_utt3",
    ]
    assert set(table["split"]) == {"train"}
    assert "none of its 3 rows" in told(report).loc["omg_TestVideos.csv", "what"]
    assert np.allclose(rows_of(place, "utterance_2")[0], [0.5, 0.8])


def test_what_is_wrong_is_found_in_01_and_costs_its_trial_in_04_only(root):
    back = "time,valence,arousal\n0,0,0\n0.2,0,0\n0.1,0,0\n"
    short = "valence,arousal\n" + "0,0\n" * 5
    place = root(
        **{
            "anna.mp4": None,
            "anna.csv": back,
            "ben.mp4": None,
            "ben.csv": short,
            "carl.mp4": None,
            "carl.csv": TABLE,
            "dora.mp4": None,
            "dora.csv": "0.1,0.2\n0.3,0.4\n",
        }
    )
    table, report = folder.find(place)
    assert "without a header line" in told(report).loc[["dora"], "what"].iloc[0]
    store = Store(place.parent / "processed", "folder", place)
    checked = {
        row["trial"]: row
        for row in (check.check_trial(row, store) for row in table.to_dict("records"))
    }
    assert "times go back" in checked["anna"]["errors"]
    assert "5 rows, and the video has 10 frames" in checked["ben"]["errors"]
    assert checked["carl"]["errors"] == ""
    assert checked["carl"]["labels"] == "va (6 Hz → 25 frames/s, linear)"
    for name in ("anna", "ben"):
        with pytest.raises(InputError):
            rows_of(place, name)
    assert np.isfinite(rows_of(place, "carl")[0]).all()


def test_a_label_column_cannot_lead_out_of_the_data_root(root):
    table = folder.find(root(**{"anna.mp4": None, "anna.csv": TABLE}))[0]
    for bad in ("anna.csv|/etc/passwd", "anna.csv|../x.csv", "../omg.csv::a"):
        with pytest.raises(InputError, match="leaves the data root"):
            trials.check(table.assign(va_path=bad))


def test_delays_are_compared_only_when_asked_for_and_need_two_trials(root):
    place = root(**{"anna.mp4": None, "anna.csv": TABLE})
    table = folder.find(place)[0]
    store = Store(place.parent / "processed", "folder", place)
    assert delays.curve(table, store, []).empty
    with pytest.raises(InputError, match="train trials with labels"):
        delays.curve(table, store, [0.0, 1.0])
