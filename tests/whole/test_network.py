"""Nothing but what a person asks to be fetched opens a connection; the tests' own guard sees it."""

import ast
import socket
import urllib.request

import pytest

from lib.files import ROOT

# Who fetches published weights; of the others only the name of this machine is asked.
MAY_IMPORT = {"lib/weights.py", "lib/parallel/locks.py", "lib/experiments/sweeps/worker.py"}
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
