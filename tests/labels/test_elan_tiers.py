"""Tiers of ELAN beside those of valence and arousal, and files whose times are no milliseconds."""

import numpy as np
import pytest

from lib.errors import InputError
from lib.labels import arrays
from lib.store import Store, request

pytest.importorskip("pympi")
FRAMES = np.arange(50) / 25
PAIR = {"valence": "0.5", "arousal": "-0.5"}


def eaf(tiers, units="milliseconds", until='TIME_VALUE="2000"'):
    body = "".join(
        f'<TIER TIER_ID="{name}" LINGUISTIC_TYPE_REF="t"><ANNOTATION><ALIGNABLE_ANNOTATION '
        f'ANNOTATION_ID="a{k}" TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts2"><ANNOTATION_VALUE>{value}'
        "</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION></TIER>"
        for k, (name, value) in enumerate(tiers.items())
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?><ANNOTATION_DOCUMENT AUTHOR="" FORMAT="3.0" '
        'DATE="2026-01-01T00:00:00+00:00" VERSION="3.0" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
        'xsi:noNamespaceSchemaLocation="http://www.mpi.nl/tools/elan/EAFv3.0.xsd">'
        f'<HEADER MEDIA_FILE="" TIME_UNITS="{units}"/><TIME_ORDER>'
        f'<TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="0"/><TIME_SLOT TIME_SLOT_ID="ts2" {until}/>'
        f'</TIME_ORDER>{body}<LINGUISTIC_TYPE LINGUISTIC_TYPE_ID="t" TIME_ALIGNABLE="true"/>'
        "</ANNOTATION_DOCUMENT>"
    )


@pytest.fixture
def read(tmp_path):
    def of(*given, **more):
        path = tmp_path / "anna.eaf"
        path.write_text(eaf(*given, **more))
        return arrays.read([path], "va", FRAMES, {})

    return of


def test_a_tier_of_the_spread_is_no_annotator(read):
    found = read({**PAIR, "valence_sd": "0.9", "valence_raw": "0.7"})
    assert np.allclose(found[0], [0.5, -0.5])
    assert "no annotator's values, and not used: valence_sd, valence_raw" in found[1]
    both = read({**PAIR, "valence_ben": "0.9", "arousal_ben": "-0.1"})
    assert np.allclose(both[0], [0.7, -0.3])
    assert both[2]["annotators"] == 2


@pytest.mark.parametrize("more", [{}, {"valence_sd": "0.9"}])
def test_only_files_with_such_a_tier_have_another_array(tmp_path, more):
    (tmp_path / "anna.eaf").write_text(eaf({**PAIR, **more}))
    store = Store(tmp_path / "processed", "folder", tmp_path)
    trial = {"trial": "anna", "va_path": "anna.eaf"}
    resolved = arrays.resolve(trial, request("va"), store).parameters
    assert resolved == ({"columns": "of annotators"} if more else {})


def test_two_tiers_of_the_same_values_are_refused(read):
    with pytest.raises(InputError, match="two tiers of the same values: valence and V"):
        read({**PAIR, "V": "0.9"})


@pytest.mark.parametrize("units", ["PAL-frames", "NTSC-frames"])
def test_times_in_frames_are_not_taken_for_milliseconds(read, units):
    with pytest.raises(InputError, match=f"its times are {units}, and not milliseconds"):
        read(PAIR, units=units)


def test_an_annotation_without_its_end_says_so(read):
    with pytest.raises(InputError, match="an annotation of valence or arousal without its time"):
        read(PAIR, until="")


def test_a_scale_in_the_name_of_a_tier_is_mapped(tmp_path, read):
    rows, note, _ = read({"valence (0-1)": "0.5", "arousal (1-9)": "9"})
    assert np.allclose(rows, [0, 1])
    assert "0…1 mapped to −1…1" in note
    trial = {"trial": "anna", "va_path": "anna.eaf"}
    store = Store(tmp_path / "processed", "folder", tmp_path)
    told = arrays.resolve(trial, request("va"), store).parameters
    assert told == {"scale": "0…1, 1…9"}


def test_participants_behind_an_at_sign_are_annotators(read):
    tiers = {"valence@anna": "0.5", "valence@ben": "0.7", "arousal@anna": "0", "arousal@ben": "0"}
    rows, _, facts = read(tiers)
    assert np.allclose(rows, [0.6, 0])
    assert facts["annotators"] == 2


VIDEO = '<MEDIA_DESCRIPTOR MEDIA_URL="file:///C:/film/{}.mp4" MIME_TYPE="video/mp4"{}/>'
SOUND = VIDEO.format("sound", ' TIME_ORIGIN="500"')


@pytest.mark.parametrize(
    ("media", "begins"),
    [
        (VIDEO.format("anna", "") + SOUND, 0),
        (VIDEO.format("cam2", "") + SOUND, 0),
        (SOUND + VIDEO.format("Anna", ' TIME_ORIGIN="1000"'), 25),
        (SOUND, 13),
    ],
)
def test_the_offset_of_another_medium_does_not_count(tmp_path, read, media, begins):
    read(PAIR)
    path = tmp_path / "anna.eaf"
    path.write_text(path.read_text().replace('milliseconds"/>', f'milliseconds">{media}</HEADER>'))
    rows = arrays.read([path], "va", FRAMES, {})[0]
    assert np.flatnonzero(np.isfinite(rows[:, 0]))[0] == begins
    store = Store(tmp_path / "processed", "folder", tmp_path)
    resolved = arrays.resolve({"trial": "anna", "va_path": "anna.eaf"}, request("va"), store)
    assert resolved.parameters == ({"times": "by their column"} if not begins else {})
