"""Tables as people read them."""

import pandas as pd
import pytest

from lib.plots import tables


@pytest.mark.parametrize(("columns", "is_small"), [(9, False), (10, True)])
def test_a_table_of_many_columns_has_smaller_letters(columns, is_small):
    rows = pd.DataFrame([range(columns)], columns=[f"c{k}" for k in range(columns)])
    assert ("font-size:75%" in tables.table(rows)._repr_html_()) == is_small
