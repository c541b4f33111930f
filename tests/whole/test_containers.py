"""The files that make an image, and uv's lock: they name only what is there, and the same Python
and packages as the project. No image is built here.
"""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from lib.files import ROOT

FOLDER = ROOT / "docs" / "containers"
PYTHONS = {"debian:bookworm-slim": (3, 11)}  # what python3 is in Debian's releases
ADDRESSES = {"https://pypi.org", "https://files.pythonhosted.org"}  # what everybody reaches
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def definition():
    """Sections of lab.def: name → its lines; what stands above the first is "head"."""
    sections, name = {"head": []}, "head"
    for line in (FOLDER / "lab.def").read_text().splitlines():
        if line.startswith("%"):
            name = line[1:]
        elif line.strip() and not line.startswith("#"):
            sections.setdefault(name, []).append(line.strip())
    return sections


def instructions():
    """Lines of the Dockerfile: (word, the rest)."""
    lines = (FOLDER / "Dockerfile").read_text().splitlines()
    return [tuple(line.split(" ", 1)) for line in lines if line and line[0] != "#"]


def pins():
    """Name → version of requirements.txt, without extras."""
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    exact = [re.fullmatch(r"([\w-]+)(?:\[\w+\])?==(\S+)", line) for line in lines]
    return {match[1]: match[2] for match in exact if match}


def test_both_files_copy_what_is_there_and_run_the_same_script():
    of_def = {line.split()[0]: line.split()[1] for line in definition()["files"]}
    [copied] = [rest.split() for word, rest in instructions() if word == "COPY"]
    assert sorted(of_def) == sorted(copied[:-1])
    assert all((ROOT / name).is_file() for name in of_def)
    assert set(of_def.values()) == {copied[-1] + Path(name).name for name in of_def}
    runs = [rest for word, rest in instructions() if word == "RUN"]
    assert definition()["post"] == runs[:1]
    assert set(runs[0].split()[1:]) == set(of_def.values())


def test_what_docker_may_read_is_what_it_copies():
    lines = (FOLDER / "Dockerfile.dockerignore").read_text().splitlines()
    [copied] = [rest.split() for word, rest in instructions() if word == "COPY"]
    assert lines == ["*", *(f"!{name}" for name in copied[:-1])]


def test_both_begin_with_a_python_that_the_project_takes_and_find_its_packages():
    [of_def] = [line[6:] for line in definition()["head"] if line.startswith("From: ")]
    assert of_def == dict(instructions())["FROM"]
    least = tuple(map(int, re.fullmatch(r">=(\d+)\.(\d+)", PROJECT["requires-python"]).groups()))
    assert PYTHONS[of_def] >= least
    assert f"export {dict(instructions())['ENV']}" in definition()["environment"]


def test_the_script_is_a_script_and_makes_the_folder_that_is_on_the_path():
    assert subprocess.run(["bash", "-n", FOLDER / "install.sh"]).returncode == 0
    text = (FOLDER / "install.sh").read_text()
    assert "python3 -m venv /opt/lab\n" in text
    assert dict(instructions())["ENV"] == "PATH=/opt/lab/bin:$PATH"


@pytest.fixture(scope="module")
def lock():
    return tomllib.loads((ROOT / "uv.lock").read_text())


def test_the_lock_has_the_versions_of_requirements(lock):
    versions = {package["name"]: package["version"] for package in lock["package"]}
    assert {name: versions.get(name) for name in pins()} == pins()


def test_the_lock_is_of_what_pyproject_asks_for(lock):
    """As `uv lock --check` finds out, without uv."""
    [own] = [package for package in lock["package"] if package["name"] == PROJECT["name"]]
    extras = PROJECT["optional-dependencies"]
    asked = {(text, "") for text in PROJECT["dependencies"]}
    for extra, texts in extras.items():
        asked |= {(text, extra) for text in texts}
    assert {as_asked(one) for one in own["metadata"]["requires-dist"]} == asked
    assert lock["requires-python"] == PROJECT["requires-python"]


def as_asked(one):
    """A requirement of the lock as pyproject writes it, and its extra."""
    extra = re.fullmatch(r"extra == '(\w+)'", one.get("marker", ""))
    inner = f"[{','.join(one['extras'])}]" if "extras" in one else ""
    return f"{one['name']}{inner}{one['specifier']}", extra[1] if extra else ""


def test_the_lock_names_addresses_that_everybody_reaches(lock):
    text = (ROOT / "uv.lock").read_text()
    places = re.findall(r"(?:url|registry) = \"(\w+://[^/\"]+)", text)
    assert len(places) > 100
    assert set(places) == ADDRESSES
    hashes = re.findall(r"\{ url = [^}]*", text)
    assert all('hash = "sha256:' in one for one in hashes)
