"""What CARMA, DARMA and NOVA write, by what is publicly documented of their files; no file that
these programs wrote themselves was at hand.

CARMA: Girard 2014, doi:10.5334/jors.ar. DARMA: Girard and Wright 2018,
doi:10.3758/s13428-017-0915-5: settings as lines of a name and a value, a header line, a line of
percent signs, rows. NOVA: the annotation format of the SSI framework (Baur et al. 2020,
doi:10.1007/s13218-020-00632-3): XML, and beside it rows in text or binary.
"""

import struct

import numpy as np
import pytest

from lib.errors import InputError
from lib.labels import tables

RIGHT = np.arange(11) / 20  # the value of row k, −1…1; row k is at k / 2 s
SETTINGS = (
    "Time of Rating,{date}\nMultimedia File,C:\\films\\anna, take 2.mp4\nLower Label,{low}\n"
    "Upper Label,{high}\nMinimum Value,{least}\nMaximum Value,{most}\nNumber of Steps,9\n"
)
POLES = {"low": "very unpleasant", "high": "very pleasant"}
SCALE = {"least": "-100", "most": "100", "date": "27-Nov-2014 10:22:33"}


def rows(scale=lambda value: 100 * value, mark=",", more=""):
    return "".join(f"{k / 2:.2f}{mark}{scale(v):.4f}{more}\n" for k, v in enumerate(RIGHT))


def one(tmp_path, content, name="anna.csv"):
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return tables.read(path)


CARMA = {
    "the settings of its version 6": SETTINGS.format(**SCALE, **POLES)
    + "Second,Rating\n%%%%%%,%%%%%%\n"
    + rows(),
    "a scale from 0 to 1": SETTINGS.format(**{**SCALE, "least": 0, "most": 1}, **POLES)
    + "Second,Rating\n%%%%%%,%%%%%%\n"
    + rows(lambda value: (value + 1) / 2),
    "Time instead of Second": SETTINGS.format(**SCALE, **POLES) + "Time,Rating\n" + rows(),
    "a spreadsheet saved it with semicolons": (
        SETTINGS.format(**SCALE, **POLES).replace(",", ";") + "Second;Rating\n" + rows(mark=";")
    ).replace("\n", "\r\n"),
    "a block of names over values": "Video File,Annotator,Start,End\nanna.mp4,r1,0,5\n\n"
    "Minimum Value,-100\nMaximum Value,100\nLower Label,unpleasant\n\nTime,Rating\n" + rows(),
}


@pytest.mark.parametrize("name", CARMA)
def test_carma_is_read_with_the_scale_that_it_says(tmp_path, name):
    [found] = one(tmp_path, CARMA[name])
    assert np.allclose(found.values[:, 0], RIGHT)
    assert np.isnan(found.values[:, 1]).all()
    assert np.allclose(found.time, np.arange(11) / 2)
    assert any("mapped to −1…1 (as the file says)" in note for note in found.notes)


def test_carma_with_poles_of_arousal_is_arousal_and_without_poles_the_name_of_the_file_tells(
    tmp_path,
):
    calm = SETTINGS.format(**SCALE, low="very calm", high="very excited")
    [found] = one(tmp_path, calm + "Second,Rating\n%%%%%%,%%%%%%\n" + rows())
    assert np.allclose(found.values[:, 1], RIGHT)
    plain = SETTINGS.format(**SCALE, low="low", high="high") + "Second,Rating\n" + rows()
    [found] = one(tmp_path, plain, "anna_arousal.csv")
    assert np.allclose(found.values[:, 1], RIGHT)
    with pytest.raises(InputError, match="no column of valence or arousal"):
        one(tmp_path, plain, "ben.csv")


def test_minus_5_is_a_rating_of_carma_and_no_gap(tmp_path):
    head = SETTINGS.format(**SCALE, **POLES) + "Second,Rating\n%%%%%%,%%%%%%\n"
    [found] = one(tmp_path, head + "0,-5\n1,-4\n2,NaN\n")
    assert np.allclose(found.values[:, 0], [-0.05, -0.04, np.nan], equal_nan=True)


DARMA_HEAD = "Time of Rating,27-Nov-2017\nMultimedia File,anna.mp4\n"
DARMA = {
    "its magnitude": (DARMA_HEAD + "Magnitude,100\nSecond,X,Y,B\n%%%%%%,%%%%%%,%%%%%%,%%\n", 100),
    "another magnitude": (DARMA_HEAD + "Magnitude,1000\nSecond,X,Y,B\n%%,%%,%%,%%\n", 1000),
    "labels of its axes": (
        DARMA_HEAD + "Magnitude,100\nX Axis Label,Valence\nY Axis Label,Arousal\nSecond,X,Y,B\n",
        100,
    ),
    "Time, and no word of its scale": (DARMA_HEAD + "Time,X,Y,B\n%%%%%%,%%%%%%,%%%%%%,%%\n", 100),
}


@pytest.mark.parametrize("size", [1, 0.01])  # of a rater who hardly moved the stick, too
@pytest.mark.parametrize("name", DARMA)
def test_darma_has_two_axes_of_its_magnitude(tmp_path, name, size):
    head, magnitude = DARMA[name]
    lines = [
        f"{k / 2},{magnitude * v * size},{-magnitude * v * size},0\n" for k, v in enumerate(RIGHT)
    ]
    [found] = one(tmp_path, head + "".join(lines))
    assert np.allclose(found.values, np.stack([RIGHT, -RIGHT], axis=1) * size)
    assert "X taken as valence, Y as arousal" in found.notes
    assert any(f"−{magnitude}…{magnitude} mapped" in note for note in found.notes)


def test_columns_x_and_y_beside_valence_and_arousal_are_something_else(tmp_path):
    lines = "".join(f"{k / 2},{k},{-k},{v},{-v}\n" for k, v in enumerate(RIGHT))
    [found] = one(tmp_path, "time,x,y,valence,arousal\n" + lines)
    assert np.allclose(found.values, np.stack([RIGHT, -RIGHT], axis=1))
    assert any("not used: x, y" in note for note in found.notes)


def test_a_scale_without_an_end_is_none(tmp_path):
    head = SETTINGS.format(**{**SCALE, "least": "-1e400", "most": "1e400"}, **POLES)
    [found] = one(tmp_path, head + "Second,Rating\n" + rows(lambda value: value))
    assert np.allclose(found.values[:, 0], RIGHT, atol=1e-4)


# ---- ELAN

SLOTS = '<TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="0"/><TIME_SLOT TIME_SLOT_ID="ts2"{}/>'
ELAN = (
    '<?xml version="1.0"?><ANNOTATION_DOCUMENT '
    'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
    'xsi:noNamespaceSchemaLocation="http://www.mpi.nl/tools/elan/EAFv3.0.xsd" AUTHOR="" '
    'DATE="2020-01-01T00:00:00+00:00" FORMAT="3.0" VERSION="3.0"><HEADER MEDIA_FILE="" '
    f'TIME_UNITS="milliseconds"/><TIME_ORDER>{SLOTS}</TIME_ORDER><TIER TIER_ID="valence" '
    'LINGUISTIC_TYPE_REF="d"><ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" '
    'TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts2"><ANNOTATION_VALUE>0.5</ANNOTATION_VALUE>'
    "</ALIGNABLE_ANNOTATION></ANNOTATION></TIER></ANNOTATION_DOCUMENT>"
)


def test_an_annotation_of_elan_without_its_time_is_refused(tmp_path):
    pytest.importorskip("pympi")
    path = tmp_path / "anna.eaf"
    path.write_text(ELAN.format(' TIME_VALUE="900"'))
    [found] = tables.read(path)
    assert (found.time.tolist(), found.until.tolist()) == ([0.0], [0.9])
    path.write_text(ELAN.format(""))
    with pytest.raises(InputError, match="without its time"):
        tables.read(path)


# ---- NOVA


def nova(tmp_path, kind, data, scheme="", items="", ftype="ASCII", name="valence"):
    path = tmp_path / f"anna.{name}.r1.annotation"
    path.write_text(
        f'<?xml version="1.0" ?>\n<annotation ssi-v="3">\n    <info ftype="{ftype}" size="11" />\n'
        f'    <meta role="anna" annotator="r1"/>\n    <scheme name="{name}" type="{kind}" '
        f'color="#FFDDD9C3" {scheme}>{items}</scheme>\n</annotation>\n'
    )
    path.with_name(path.name + "~").write_bytes(data if isinstance(data, bytes) else data.encode())
    return tables.read(path)


ITEMS = "".join(f'<item name="{v}" id="{k}" color="#FF000000"/>' for k, v in enumerate(RIGHT))
ITEMS += '<item name="REST" id="-1" color="#FF000000"/>'


@pytest.mark.parametrize("ftype", ["ASCII", "BINARY"])
@pytest.mark.parametrize(("low", "high"), [("0", "1"), ("-1.0", "1.0"), ("0", "100")])
def test_nova_continuous_is_a_score_and_a_confidence_at_its_rate(tmp_path, ftype, low, high):
    least, most = float(low), float(high)
    scores = (RIGHT + 1) / 2 * (most - least) + least
    text = "".join(f"{score:.4f};1.00\n" for score in scores)
    binary = b"".join(struct.pack("<ff", score, 1.0) for score in scores)
    data = binary if ftype == "BINARY" else text
    scheme = f'sr="2" min="{low}" max="{high}" mincolor="#FF0000FF" maxcolor="#FFFF0000"'
    [found] = nova(tmp_path, "CONTINUOUS", data, scheme, ftype=ftype)
    assert np.allclose(found.values[:, 0], RIGHT, atol=1e-4)
    assert np.allclose(found.time, np.arange(11) / 2)
    assert found.annotator == "r1"


def test_a_score_of_nova_that_is_no_number_is_a_gap(tmp_path):
    [found] = nova(
        tmp_path, "CONTINUOUS", "0.5;1.00\nNaN;0.00\n0.7;1.00\n", 'sr="2" min="0" max="1"'
    )
    assert np.allclose(found.values[:, 0], [0, np.nan, 0.4], equal_nan=True)


@pytest.mark.parametrize("ftype", ["ASCII", "BINARY"])
def test_nova_discrete_has_a_label_by_its_number_and_rest_is_none(tmp_path, ftype):
    stretches = [(k / 2, k / 2 + 0.4, k, 1.0) for k in range(11)] + [(6.0, 6.5, -1, 1.0)]
    text = "".join(f"{a:.2f};{b:.2f};{k};{c:.2f}\n" for a, b, k, c in stretches)
    binary = b"".join(struct.pack("<ddif", *stretch) for stretch in stretches)
    data = binary if ftype == "BINARY" else text
    [found] = nova(tmp_path, "DISCRETE", data, items=ITEMS, ftype=ftype)
    assert np.allclose(found.values[:, 0], [*RIGHT, np.nan], equal_nan=True)
    assert np.allclose(found.time[:2], [0, 0.5])
    assert np.allclose(found.until[:2], [0.4, 0.9])


@pytest.mark.parametrize("ftype", ["ASCII", "BINARY"])
def test_nova_free_has_the_value_as_text(tmp_path, ftype):
    stretches = [(k / 2, k / 2 + 0.4, f"{value:g}") for k, value in enumerate(RIGHT)]
    text = "".join(f"{a:.2f};{b:.2f};{name};1.00\n" for a, b, name in stretches)
    binary = b"".join(
        struct.pack("<ddI", a, b, len(name)) + name.encode() + struct.pack("<f", 1.0)
        for a, b, name in stretches
    )
    [found] = nova(tmp_path, "FREE", binary if ftype == "BINARY" else text, ftype=ftype)
    assert np.allclose(found.values[:, 0], RIGHT)
    assert np.allclose(found.until, np.arange(11) / 2 + 0.4)


@pytest.mark.parametrize(
    ("kind", "data", "items", "what"),
    [
        ("DISCRETE", "0.0;1.0;0;1.0\n", '<item name="LOW" id="0"/>', "LOW"),
        ("DISCRETE", "0.0;1.0;7;1.0\n", '<item name="0.5" id="0"/>', "7"),
        ("FREE", "0.0;1.0;happy;1.0\n", "", "happy"),
        ("POLYGON", "0.0;1.0;1;1.0\n", "", "POLYGON"),
        ("CONTINUOUS", "0.5\n0.6;1.0\n", "", ""),
        ("DISCRETE", "", ITEMS, ""),
    ],
)
def test_what_is_no_number_of_valence_is_refused_by_name(tmp_path, kind, data, items, what):
    with pytest.raises(InputError) as caught:
        nova(tmp_path, kind, data, 'sr="2" min="0" max="1"', items)
    assert what in str(caught.value)
    assert "anna.valence.r1.annotation" in str(caught.value.where)


SCORES = struct.pack("<ffff", 0.5, 1.0, 0.6, 1.0)


@pytest.mark.parametrize(
    ("kind", "data", "scheme"),
    [
        ("CONTINUOUS", SCORES[:-3], 'sr="2" min="0" max="1"'),
        ("CONTINUOUS", SCORES, 'sr="0" min="0" max="1"'),
        ("CONTINUOUS", SCORES, 'sr="-2" min="0" max="1"'),
        ("CONTINUOUS", SCORES, 'sr="inf" min="0" max="1"'),
        ("CONTINUOUS", SCORES, 'sr="2" min="-inf" max="inf"'),
        ("FREE", struct.pack("<ddI", 0.0, 1.0, 2**32 - 1) + b"0.5", ""),
        ("FREE", struct.pack("<ddI", 0.0, 1.0, 3) + b"0.5", ""),
    ],
)
def test_values_that_are_cut_off_and_a_scheme_that_cannot_be_are_refused(
    tmp_path, kind, data, scheme
):
    with pytest.raises(InputError, match="values of an annotation of NOVA"):
        nova(tmp_path, kind, data, scheme, ftype="BINARY")


@pytest.mark.parametrize(("said", "written"), [("utf-16", "utf-16"), ("utf-16", "utf-8-sig")])
def test_xml_counts_as_it_is_encoded_whatever_its_first_line_says(tmp_path, said, written):
    nova(tmp_path, "CONTINUOUS", "0.5;1.00\n", 'sr="2" min="0" max="1"')
    path = tmp_path / "anna.valence.r1.annotation"
    text = path.read_text().replace('version="1.0"', f'version="1.0" encoding="{said}"')
    path.write_bytes(text.replace('annotator="r1"', 'annotator="Zoë"').encode(written))
    [found] = tables.read(path)
    assert found.annotator == "Zoë"
