"""One command twice at the same time: both end well, and leave what one of them leaves."""

from concurrent import futures

import pytest

from tests.kill import cases, killing, results


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    place = tmp_path_factory.mktemp("twice")
    return cases.World(place / "place", place / "copies")


NAMES = ["weights get", "clips", "sample_tsav", "merge"]
NAMES += ["compare", "report", "export", "export-audio", "export-labels", "code digests"]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_command_that_is_typed_twice_at_the_same_time_leaves_what_one_leaves(world, name):
    scratch = [world.place.parent / f"scratch{number}" for number in range(2)]
    with cases.prepared(world, name) as (case, fill):
        alone = killing.start(case, scratch[0])
        assert alone.status == 0, alone.text
        right = results.snapshot(case.place)
        fill()
        with futures.ThreadPoolExecutor(2) as pool:
            both = list(pool.map(killing.start, [case] * 2, scratch))
    assert [each.status for each in both] == [0, 0], "\n".join(each.text for each in both)
    assert results.differences(results.snapshot(case.place), right) == []
