"""Nothing but what a person asks to be fetched opens a connection; the tests' own guard sees it."""

import ast
import shutil
import socket
import subprocess
import sys
import urllib.request

import pytest

from lib.files import ROOT

# Who fetches published weights; of the others only the name of this machine is asked.
MAY_IMPORT = {"lib/models/weights.py", "lib/parallel/locks.py", "lib/experiments/sweeps/worker.py"}
# Libraries that fetch what they are asked for, and the one module that asks.
FETCHES = ("huggingface_hub", "snapshot_download", "hf_hub_download", "load_state_dict_from_url")
ASKS_THE_HUB = {"lib/features/encoder_files.py"}
NETWORK = ("urllib.request", "http.client", "socket", "requests", "ftplib", "aiohttp", "httpx")


def test_a_test_that_would_reach_another_machine_fails():
    with pytest.raises(AssertionError, match=r"a connection to 192\.0\.2\.1"):
        socket.create_connection(("192.0.2.1", 80), timeout=1)
    with pytest.raises(AssertionError, match="opens a connection"):
        urllib.request.urlopen("http://192.0.2.1/", timeout=1)
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with sender, pytest.raises(AssertionError, match="opens a connection"):
        sender.sendto(b"x", ("192.0.2.1", 9))


def test_only_named_modules_import_what_opens_connections():
    found = set()
    for file in sorted((ROOT / "lib").rglob("*.py")):
        text = file.read_text(encoding="utf-8")
        if not any(one in text for one in NETWORK):
            continue
        for node in ast.walk(ast.parse(text)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if any(name == one or name.startswith(f"{one}.") for name in names for one in NETWORK):
                found.add(file.relative_to(ROOT).as_posix())
    assert found <= MAY_IMPORT


def test_only_named_modules_ask_a_library_to_fetch_something():
    files = sorted((ROOT / "lib").rglob("*.py"))
    texts = {file.relative_to(ROOT).as_posix(): file.read_text(encoding="utf-8") for file in files}
    assert {name for name, text in texts.items() if any(map(text.count, FETCHES))} == ASKS_THE_HUB
    # Other libraries' networks come from a folder or a file: their own ways to fetch are not used.
    ways = ("pretrained=True", "torch.hub.load", "weights=models.", "IMAGENET1K", "KINETICS400_V1")
    assert not {name for name, text in texts.items() if any(map(text.count, ways))}


WITHOUT = """
import sys
from click.testing import CliRunner
from lib.__main__ import main

def call(*words):
    return CliRunner().invoke(main, words)

COMMANDS = ("check params/sample_tsav.yaml", "weights ls", "weights card yunet")
for words in map(str.split, COMMANDS):
    done = call(*words)
    assert done.exit_code == 0, (words, done.output)
done = call("weights", "get", "yunet", "--root", sys.argv[1])
assert done.exit_code == 2, (done.exit_code, done.output)
assert "Traceback" not in done.output and "yunet" in done.output, done.output
"""


def test_a_machine_without_a_network_misses_only_what_is_to_be_fetched(tmp_path):
    """In a network of its own, where even this machine's own address answers nobody."""
    alone = ["unshare", "--map-root-user", "--net"]
    if not shutil.which("unshare") or subprocess.run([*alone, "true"]).returncode:
        pytest.skip("this machine does not allow a network of one's own (unshare --net)")
    command = [*alone, sys.executable, "-c", WITHOUT, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert list(tmp_path.iterdir()) == []
