"""Published weights: check-sums, a download from a server that breaks off, and never a good file
replaced.
"""

import dataclasses
import hashlib
import http.server
import json
import re
import shlex
import threading
import urllib.request
from concurrent import futures
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from lib.__main__ import main
from lib.datasets import check
from lib.errors import InputError
from lib.models import weights
from tests.shared_files import shared
from tests.waiting import both_read_first

CONTENT = np.random.default_rng(0).integers(0, 256, 300_000, np.uint8).tobytes()


class Server(http.server.BaseHTTPRequestHandler):
    """Gives CONTENT, but after `breaks` bytes of an answer closes the connection; notes the ranges
    asked for.
    """

    content, breaks, ranges, asked, length = CONTENT, 10**9, True, [], None

    def do_GET(self):
        start = int(self.headers.get("Range", "bytes=0-")[6:-1]) if self.ranges else 0
        self.asked.append(start)
        if start >= len(self.content):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        told = str(len(self.content) - start) if self.length is None else self.length
        if told:
            self.send_header("Content-Length", told)
        self.end_headers()
        self.wfile.write(self.content[start : start + self.breaks])

    def log_message(self, *words):
        pass


@pytest.fixture
def server():
    """A class of the server's own, to be set, with its address."""
    handler = type("Own", (Server,), {"asked": []})
    with http.server.HTTPServer(("127.0.0.1", 0), handler) as running:
        handler.url = f"http://127.0.0.1:{running.server_port}/file"
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        yield handler
        running.shutdown()


@pytest.fixture(autouse=True)
def known(monkeypatch):
    """An entry whose check-sum is that of CONTENT, one with a prefix, one with none, one with an
    MD5.
    """
    base = weights.Weights(
        "known",
        "known.bin",
        "a test",
        "none",
        "somewhere",
        sha256=hashlib.sha256(CONTENT).hexdigest(),
    )
    more = [
        base,
        dataclasses.replace(base, name="prefix", file="prefix.bin", sha256=base.sha256[:8]),
        dataclasses.replace(base, name="first", file="first.bin", sha256=""),
        dataclasses.replace(
            base, name="md5", file="md5.bin", sha256="", md5=hashlib.md5(CONTENT).hexdigest()
        ),
    ]
    monkeypatch.setattr(
        weights, "REGISTRY", {**weights.REGISTRY, **{each.name: each for each in more}}
    )


def test_a_download_from_a_server_that_breaks_off_goes_on_where_it_was(server, tmp_path):
    server.breaks = 90_000
    seen = []
    place = weights.get(
        "known", tmp_path, server.url, lambda done, total: seen.append((done, total))
    )
    assert place.read_bytes() == CONTENT
    assert server.asked == [0, 90_000, 180_000, 270_000]
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["known.bin"]


@pytest.mark.parametrize("length", ["", "1e9", "99999999999999999999", "-5", None])
def test_a_server_that_sends_more_than_the_file_has_is_left_at_once(
    server, tmp_path, monkeypatch, length
):
    """Without a length, with nonsense in its place, or an honest one: no more than it is long."""
    small = dataclasses.replace(weights.entry("known"), size=1000)
    monkeypatch.setitem(weights.REGISTRY, "known", small)
    monkeypatch.setattr(weights, "CHUNK", 600)
    server.length, seen = length, []
    with pytest.raises(InputError, match=r"more than the 1000 bytes|says that it sends"):
        weights.get("known", tmp_path, server.url, lambda there, total: seen.append(there))
    assert max(seen, default=0) <= 1000
    assert not list(tmp_path.iterdir()), "nothing of it stays"
    assert server.asked == [0], "and it is not asked again"


@pytest.mark.parametrize(
    "url",
    [
        *("example.org/file", "ftp://example.org/x", "file:///etc/passwd", "http://"),
        *("http://[::1/x", "http://[zz]/x", "http://a..b/x", f"http://{'a' * 300}/x"),
        *("http://localhost:port/x", "http://localhost:99999/x"),
    ],
)
def test_an_address_without_its_beginning_is_one_sentence(tmp_path, url):
    with pytest.raises(InputError, match=r"http:// or https://"):
        weights.get("known", tmp_path, url)
    assert not list(tmp_path.iterdir())


def test_an_address_with_blanks_and_other_letters_is_asked_for_and_a_wrong_redirect_told(
    server, tmp_path, monkeypatch
):
    place = weights.get("known", tmp_path, f"{server.url.rstrip('/')}/my weights/ü.bin?é=1")
    assert place.read_bytes() == CONTENT

    def redirected(asked, timeout):
        raise ValueError("Invalid IPv6 URL")  # as urllib does for `Location: http://[::1/`

    monkeypatch.setattr(urllib.request, "urlopen", redirected)
    with pytest.raises(InputError, match=r"cannot be reached \(Invalid IPv6 URL\)"):
        weights.get("md5", tmp_path, server.url)


def test_a_lock_of_a_process_that_was_killed_with_the_file_in_place_is_removed(server, tmp_path):
    weights.get("known", tmp_path, server.url)
    (tmp_path / ".known.bin.lock").write_text("{}")
    weights.get("known", tmp_path, server.url)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["known.bin"]


def test_a_second_attempt_continues_what_the_first_fetched(server, tmp_path):
    server.breaks = 40_000
    with pytest.raises(InputError, match="broke off 5 times"):
        weights.get("known", tmp_path, server.url)
    assert not (tmp_path / "known.bin").exists()
    server.breaks = 10**9
    weights.get("known", tmp_path, server.url)
    assert server.asked[-1] == 200_000


def test_a_server_without_ranges_is_asked_for_all_of_it_again(server, tmp_path):
    (tmp_path / ".known.bin.part").write_bytes(CONTENT[:1000])
    server.ranges = False
    assert weights.get("known", tmp_path, server.url).read_bytes() == CONTENT


def test_a_part_that_is_longer_than_the_file_is_dropped(server, tmp_path):
    (tmp_path / ".known.bin.part").write_bytes(b"x" * 400_000)
    assert weights.get("known", tmp_path, server.url).read_bytes() == CONTENT


def test_wrong_content_never_gets_the_name(server, tmp_path):
    server.content = b"<html>sign in</html>"
    with pytest.raises(InputError, match="not the file known"):
        weights.get("known", tmp_path, server.url)
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_there_is_never_replaced(server, tmp_path):
    (tmp_path / "known.bin").write_bytes(CONTENT)
    weights.get("known", tmp_path, server.url)
    (tmp_path / "known.bin").write_bytes(b"mine")
    with pytest.raises(InputError, match="check-sum"):
        weights.get("known", tmp_path, server.url)
    assert (tmp_path / "known.bin").read_bytes() == b"mine"
    assert server.asked == []


def test_without_file_and_network_the_message_says_which_file_goes_where(tmp_path):
    with pytest.raises(InputError) as error:
        weights.get("known", tmp_path, "http://127.0.0.1:9/nobody")
    assert "cannot be reached" in str(error.value)
    assert f"put it into {tmp_path}/" in str(error.value)
    assert "known.bin" in str(error.value)
    with pytest.raises(InputError, match="no address"):
        weights.get("tsav_544k", tmp_path)
    with pytest.raises(InputError, match="answers 404"):
        weights.get("known", tmp_path, _nothing(tmp_path))


def _nothing(tmp_path):
    """Address of a server that has no file."""
    handler = type("Empty", (Server,), {"do_GET": lambda self: self.send_error(404)})
    running = http.server.HTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
    return f"http://127.0.0.1:{running.server_port}/"


@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("known", "known"),
        ("prefix", "prefix"),
        ("md5", "known"),
        ("first", "recorded at first use"),
    ],
)
def test_the_wrong_file_is_refused_however_its_content_is_known(name, state, tmp_path):
    place = weights.path(name, tmp_path)
    assert weights.entry(name).state == state
    place.write_bytes(CONTENT)
    assert weights.find(name, tmp_path) == place
    place.write_bytes(CONTENT + b"!")
    with pytest.raises(InputError, match="check-sum"):
        weights.find(name, tmp_path)


def test_a_check_sum_is_recorded_at_first_use(tmp_path):
    weights.path("first", tmp_path).write_bytes(CONTENT)
    weights.find("first", tmp_path)
    recorded = json.loads((tmp_path / weights.RECORDS).read_text())
    assert recorded == {
        "first.bin": {"sha256": hashlib.sha256(CONTENT).hexdigest(), "size": len(CONTENT)}
    }


def test_two_files_that_are_used_first_at_the_same_time_are_both_recorded(tmp_path, monkeypatch):
    other = dataclasses.replace(weights.REGISTRY["first"], name="second", file="second.bin")
    monkeypatch.setitem(weights.REGISTRY, "second", other)
    read = weights._records
    monkeypatch.setattr(weights, "_records", both_read_first(read))
    for name in ("first", "second"):
        weights.path(name, tmp_path).write_bytes(name.encode())
    with futures.ThreadPoolExecutor(2) as pool:
        list(pool.map(weights.check, ("first", "second"), [tmp_path] * 2))
    assert sorted(read(tmp_path)) == ["first.bin", "second.bin"]
    assert not list(tmp_path.glob(".*")), "no lock is left"


def test_an_address_that_nobody_has_tried_says_so(server, tmp_path, monkeypatch):
    rows = {row["name"]: row["address"] for row in weights.listing(tmp_path)}
    assert rows["yunet"].endswith("(never tried)")
    assert rows["tsav_544k"] == "none: get it by hand"
    untried = dataclasses.replace(
        weights.REGISTRY["known"], name="untried", url="http://127.0.0.1:9/nobody"
    )
    tried = dataclasses.replace(untried, name="tried", tried="2026-01-31")
    monkeypatch.setattr(weights, "REGISTRY", {"untried": untried, "tried": tried})
    assert weights.entry("tried").address == "http://127.0.0.1:9/nobody (worked on 2026-01-31)"
    with pytest.raises(InputError, match="an address that nobody has tried yet"):
        weights.get("untried", tmp_path)
    with pytest.raises(InputError) as caught:
        weights.get("tried", tmp_path)
    assert "nobody has tried" not in caught.value.what


def test_weights_that_an_experiment_does_not_need_are_not_listed_as_absent(tmp_path):
    weights.path("known", tmp_path).write_bytes(CONTENT)
    published = check.weights_table(tmp_path)
    file = weights.entry("tsav_544k").file
    for values, names in (
        ({"recipe": "tsav", "dataset": "sample"}, ["known"]),
        ({"recipe": "expression", "dataset": "sample"}, ["known", "face_api"]),
        ({"predict_run": f"weights/{file}", "dataset": "affwild2"}, ["known", "tsav_544k"]),
        ({"options": {"start_from": file}}, ["known", "tsav_544k"]),
    ):
        assert sorted(check.needed(published, values)["weights"]) == sorted(names)


def test_the_data_check_shows_what_is_there_what_is_wrong_and_where_to_get_the_rest(tmp_path):
    weights.path("known", tmp_path).write_bytes(CONTENT)
    weights.path("first", tmp_path).write_bytes(CONTENT)
    weights.path("md5", tmp_path).write_bytes(b"something else")
    table = check.weights_table(tmp_path).set_index("weights")
    digest = hashlib.sha256(CONTENT).hexdigest()
    assert table.loc[["known", "first"], "SHA-256"].tolist() == [digest, digest]
    assert table.loc[["known", "prefix", "first"], "check-sum"].tolist() == [
        "known",
        "prefix",
        "recorded at first use",
    ]
    assert table.loc[["known", "first", "prefix"], "state"].tolist() == ["there", "there", "absent"]
    assert "not the file md5.bin" in table.loc["md5", "state"]
    assert table.loc["known", "MB"] == "0.30"
    assert (
        table.loc["tsav_alignment", "SHA-256"] == "MD5 806aee937c52103ad7f48b1b19608860"
    )  # TSAV/JCA specification §1.3
    assert table.loc["tsav_544k", ["MB", "licence"]].tolist() == ["not known", "research only"]
    assert table.loc["tsav_544k", "where to get it"].startswith("linked from github.com/kuhnkeF")


@pytest.mark.parametrize("name", ["yunet", "light_asd_ava", "light_asd_talkset"])
def test_the_registry_knows_the_shared_files(name):
    place = shared(f"weights/{weights.REGISTRY[name].file}")
    assert weights.find(name, place.parent) == place
    assert place.stat().st_size == weights.REGISTRY[name].size


@pytest.mark.parametrize(
    ("name", "file"),
    [("lr_asd_ava", "pretrain_AVA.model"), ("lr_asd_talkset", "finetuning_TalkSet.model")],
)
def test_lr_asds_files_are_known_by_their_own_check_sums(name, file, tmp_path):
    (tmp_path / weights.REGISTRY[name].file).symlink_to(shared(f"weights/lr_asd/{file}"))
    assert weights.find(name, tmp_path).stat().st_size == weights.REGISTRY[name].size
    assert weights.REGISTRY[name].url.endswith(f"/LR-ASD/main/weight/{file}")


@pytest.mark.parametrize("name", ["light_asd_talkset", "lr_asd_talkset"])
def test_files_that_take_a_muted_mouth_for_speech_say_so(name):
    printed = CliRunner().invoke(main, ["weights", "ls"])
    about = printed.output.split(f"\n{name} ")[1].splitlines()[1]
    assert "takes a mouth that moves without sound for speech" in about
    assert "a mouth that moves without sound for speech" in weights.card(name)


def test_the_command_line_lists_and_fetches(server, tmp_path):
    call = CliRunner().invoke
    got = call(main, ["weights", "get", "known", "--root", str(tmp_path), "--url", server.url])
    assert got.exit_code == 0, got.output
    listed = call(main, ["weights", "ls", "--root", str(tmp_path)])
    assert listed.exit_code == 0, listed.output
    assert "there: known.bin" in listed.output
    assert "absent: face_detection_yunet_2023mar.onnx" in listed.output
    assert call(main, ["weights", "get", "nonsense", "--root", str(tmp_path)]).exit_code == 2


class Folder(http.server.SimpleHTTPRequestHandler):
    """Gives the files of the shared folder."""

    def __init__(self, *words):
        super().__init__(*words, directory=str(shared("weights/face_api")))

    def log_message(self, *words):
        pass


def test_the_expression_network_comes_with_its_four_files_and_both_notices(tmp_path):
    shared("weights/face_api")  # here, not only in the server's thread: the test is skipped without
    with http.server.HTTPServer(("127.0.0.1", 0), Folder) as running:
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        got = weights.get("face_api", tmp_path, f"http://127.0.0.1:{running.server_port}/")
        running.shutdown()
    files = {weights.entry(name).file for name in ("face_api", *weights.entry("face_api").parts)}
    assert got.name in files
    assert {path.name for path in tmp_path.iterdir()} == {*files, "LICENSE.face_api"}
    notice = (tmp_path / "LICENSE.face_api").read_text()
    assert "Vladimir Mandic" in notice
    assert "Vincent Mühler" in notice


def test_what_was_fetched_is_said_in_one_line_and_only_then(server, tmp_path, monkeypatch):
    known = dataclasses.replace(weights.REGISTRY["known"], url=server.url, size=300_000)
    monkeypatch.setitem(weights.REGISTRY, "known", known)
    told = weights.provide(tmp_path / "known.bin")
    assert told == "fetched known (0.30 MB; licence: none) from somewhere"
    assert weights.provide(tmp_path / "known.bin") == ""


def test_a_name_that_is_registered_twice_is_refused():
    one = weights.Weights("net", "net.pt", "a network", "MIT", "somewhere")
    with pytest.raises(InputError, match="net are registered twice"):
        weights.registry([one, one])
    assert weights.registry([one]) == {"net": one}
    names = [entry.name for entry in weights._ENTRIES]
    assert len(set(names)) == len(names)


# ---- cards


PARTS = ("learnt from", "licence of the weights", "licence of the data", "## Limits", "## Not for")
CARDS = sorted(weights.CARDS.glob("*.md"))


@pytest.mark.parametrize("name", weights.REGISTRY)
def test_every_registered_file_has_a_card(name):
    assert f"`{name}`" in weights.card(name)
    told = weights.card_line_of(Path("elsewhere") / Path(weights.entry(name).file).name)
    if name not in weights.INITIAL:  # where trainings begin: nothing is predicted by it
        assert weights.card(Path(told.removeprefix("card: ")).stem) == weights.card(name)


@pytest.mark.parametrize("path", CARDS, ids=lambda path: path.stem)
def test_a_card_says_what_it_learnt_from_its_licences_its_limits_and_where_numbers_are_from(path):
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# ")
    assert [part for part in PARTS if part not in text] == []
    assert "## Measured here" in text or "## Quoted" in text
    links = re.findall(r"\]\(([^)#:]+)\)", text)
    assert [link for link in links if not (path.parent / link).resolve().is_file()] == []
    assert max(map(len, text.splitlines())) <= 130 or "|" in text


def test_notes_name_the_card_of_a_network():
    assert set(weights.CARDED) == {path.stem for path in CARDS}
    assert weights.card_line("features", "jca") == "card: docs/models/jca.md"
    assert weights.card_line("features", "gru") == ""


def test_the_command_line_prints_a_card_and_names_the_known_ones():
    printed = CliRunner().invoke(main, ["weights", "card", "light_asd_talkset"])
    assert printed.exit_code == 0
    assert printed.output.rstrip("\n") == weights.card("light_asd_ava").rstrip("\n")
    with pytest.raises(InputError, match="no card is called 'nobody'"):
        weights.card("nobody")


def test_the_command_that_is_told_for_absent_weights_puts_them_where_they_are_looked_for(tmp_path):
    with pytest.raises(weights.AbsentError) as told:
        weights.find("yunet", tmp_path / "my weights")
    place = shlex.quote(str(tmp_path / "my weights"))
    assert f"`python -m lib weights get yunet --root {place}`" in told.value.todo


def test_in_the_usual_folder_the_command_for_absent_weights_is_the_short_one(tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "ROOT", tmp_path)
    with pytest.raises(weights.AbsentError) as told:
        weights.find("yunet", tmp_path / "weights")
    assert "`python -m lib weights get yunet`" in told.value.todo
