"""A command that is killed at any moment and started again leaves what it leaves undisturbed.

KILLS is the number of kills of each command, by default 3; `benchmarks/kills.py` makes more than a
hundred and prints a table.
"""

import os

import numpy as np
import pytest

from tests.kill import campaign, cases, results

KILLS = int(os.environ.get("KILLS", "3"))
NAMES = [name for name in cases.BELOW if name not in ("conversations", "checkout")]

pytestmark = pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="finds processes in /proc")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    place = tmp_path_factory.mktemp("kill")
    return cases.World(place / "place", place / "copies")


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_command_that_was_killed_and_started_again_leaves_the_same_bytes(world, name):
    with cases.prepared(world, name) as (case, fill):
        seed = NAMES.index(name)
        told = campaign.run(case, fill, world.place.parent / "scratch", KILLS, KILLS, seed)
    assert not told.found, "\n".join([*told.found, *told.log])
    assert told.kills >= KILLS
    world.fill("")


def test_a_difference_is_found_and_named_and_what_is_volatile_is_none(tmp_path):
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / "a.npy", np.arange(3))
        (tmp_path / name / "a.json").write_text(f'{{"seconds": {len(name)}, "x": [1]}}')
    right = results.snapshot(tmp_path / "one")
    assert results.differences(results.snapshot(tmp_path / "other"), right) == []
    np.save(tmp_path / "other" / "a.npy", np.arange(4))
    (tmp_path / "other" / "a.json").write_text('{"x": [2]}')
    (tmp_path / "other" / ".b.part").touch()
    (tmp_path / "other" / "empty").mkdir()
    lines = results.differences(results.snapshot(tmp_path / "other"), right)
    assert [line.split(":")[0] for line in lines] == [".b.part", "a.json", "a.npy", "empty/"]
    assert lines[1] == "a.json: differs (x: 0: 2 instead of 1)"
