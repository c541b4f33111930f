"""`make lab`: the server listens on this machine only, and answers nobody without its token."""

import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from lib.files import ROOT
from tests.waiting import until

pytestmark = pytest.mark.slow  # JupyterLab's start
LOOPBACK = {"0100007F", "00000000000000000000000001000000"}  # 127.0.0.1 and ::1 in /proc/net
LISTENING = "0A"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """What a server that the command of `make lab` started says of itself."""
    folder = tmp_path_factory.mktemp("lab")
    places = {name: str(folder) for name in ("JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR")}
    recipe = re.search(r"-m (jupyter lab .+)", (ROOT / "Makefile").read_text(encoding="utf-8"))
    command = [sys.executable, "-m", *recipe[1].split(), "--no-browser", "--port=0"]
    as_root = ["--allow-root"] if os.getuid() == 0 else []
    process = subprocess.Popen(
        [*command, *as_root],
        cwd=ROOT,
        env={**os.environ, **places},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert until(lambda: list(folder.glob("jpserver-*.json")), 60)
        [file] = folder.glob("jpserver-*.json")
        yield json.loads(file.read_text(encoding="utf-8"))
    finally:
        process.terminate()
        process.wait()


def status(server, token=""):
    """Status of the answer to a question for the folder's contents."""
    asked = urllib.request.Request(f"{server['url']}api/contents")
    if token:
        asked.add_header("Authorization", f"token {token}")
    try:
        with urllib.request.urlopen(asked, timeout=30) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def test_nobody_is_answered_without_the_token(server):
    assert len(server["token"]) >= 32
    assert until(lambda: status(server, server["token"]) == 200, 30)
    assert status(server) == 403
    assert status(server, "0" * len(server["token"])) == 403


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="Linux lists its sockets there")
def test_the_server_listens_on_this_machine_only(server):
    rows = []
    for name in ("tcp", "tcp6"):
        lines = Path(f"/proc/net/{name}").read_text(encoding="utf-8").splitlines()[1:]
        rows += [line.split() for line in lines]
    places = [row[1].split(":") for row in rows if row[3] == LISTENING]
    found = {address for address, port in places if int(port, 16) == server["port"]}
    assert found
    assert found <= LOOPBACK
