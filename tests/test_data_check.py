"""The page of the data check: everything in it, nothing that a browser would run, no wider than a screen."""

import pandas as pd

from lib import data_check

CHECK_SUM = "8f2383e4" * 8


def page(*tables):
    return data_check.page("Check of <b>", {f"part {n} & more": table for n, table in enumerate(tables)})


def test_every_part_has_its_heading_and_its_table_or_sentence():
    text = page(pd.DataFrame({"trial": ["a", "b"], "errors": ["", "broken"]}), "nothing is missing")
    assert text.count("<h2>") == 2
    assert "<td>broken</td>" in text
    assert "<p>nothing is missing</p>" in text


def test_names_from_a_disk_are_text_and_never_markup():
    text = page(pd.DataFrame({"trial": ["<script>run()</script>"]}), "<img src=x>")
    assert "<script>" not in text
    assert "<img" not in text
    assert "Check of &lt;b&gt;" in text


def test_only_columns_with_long_words_may_break_inside_a_word():
    text = page(pd.DataFrame({"file": ["a.onnx"], "SHA-256": [CHECK_SUM], "licence": ["free for all to use " * 5]}),
                pd.DataFrame({"trial": ["a"], "width": [640]}))
    assert "#t0 td:nth-child(2){overflow-wrap:anywhere}" in text
    assert text.count("overflow-wrap") == 1
    assert CHECK_SUM in text  # whole, so that it can be copied
