"""A network that knows nothing of valence and arousal predicts a video too: table, picture and
video of its classes.
"""

import matplotlib

matplotlib.use("Agg")

import numpy as np

from lib import arrays, plots
from lib.evaluation import checkpoint, overlay, video
from lib.media import recordings, writing
from lib.training import trainer
from tests import tiny_set
from tests.tiny_set import one_thread  # noqa: F401

SENTENCE = "trained on synthetic sample data: values have no meaning"


def test_a_video_is_predicted_and_drawn_without_the_task_va(tmp_path):
    root, folder = tiny_set.make(tmp_path / "tiny"), tmp_path / "film"
    changes = {
        "modality": "video",
        "options": {"frame_step": 20, "tasks": ["expression", "action_units"]},
    }
    method = tiny_set.create("tsav", root, epochs=1, val_every=50, **changes)
    for trial in tiny_set.table(root).to_dict("records"):
        arrays.make_all(trial, method.arrays(), tiny_set.store(root))
    (root / "runs/classes").mkdir(parents=True)
    trainer.Trainer(method, tiny_set.table(root), root / "runs/classes").fit()
    pictures = [np.full((48, 64, 3), 20 * k, np.uint8) for k in range(8)]
    film = writing.write_video(tmp_path / "film.mp4", pictures, np.arange(8) / 10)
    p = tiny_set.parameters("tsav", root, run="classes")
    predictor, values, name = video.predict_video(film, checkpoint.checkpoint_path(p), p, folder)
    assert "valence" not in values
    assert {"expression", "action_unit_0", "valid"} <= set(values)
    axes = plots.predicted(values, note=checkpoint.note(checkpoint.checkpoint_path(p)))
    assert len(axes) == 1
    assert len(axes[0].get_yticklabels()) == 7 + 8
    shown = overlay.write(film, values, folder / f"{name}.mp4")
    assert len(recordings.frame_times(shown)) == 8
    assert predictor.synthetic
    assert set(values["note"]) == {
        f"{SENTENCE}; run classes, trained on sample; card: docs/models/tsav.md"
    }
