"""Reading YAML within bounds: what is hostile or a slip is one sentence, at once."""

import pytest
import yaml
from click.testing import CliRunner

from lib import parameters, runs
from lib.__main__ import EXIT_WRONG, main
from lib.errors import InputError
from lib.media import documents
from tests import pace

BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n"
    for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
HOSTILE = {
    "a date of month 13": ("when: 2024-13-45\n", "2024-13-45 looks like a date and is none"),
    "a number that is none": ("lr: !!int two\n", "two looks like a whole number and is none"),
    "a truth value that is none": ("lr: !!bool perhaps\n", "perhaps looks like a truth value"),
    "Python's tag": ("lr: !!python/object/apply:os.system [id]\n", "the tag .* is not read here"),
    "another tag": ("lr: !wrong 2\n", "the tag !wrong is not read here"),
    "a set": ("lr: !!set {a, b}\n", "the tag .*set is not read here"),
    "5 000 digits": (f"epochs: {'7' * 5000}\n", "a whole number of 5000 digits: 7777"),
    "5 000 hexadecimal digits": (f"epochs: 0x{'f' * 5000}\n", "a whole number of 5002 digits"),
    "deep lists": (f"a: {'[' * 100_000}\n", "nested more than 20 deep"),
    "deep mappings": (f"a: {'{a: ' * 50_000}\n", "nested more than 20 deep"),
    "deep blocks": ("- " * 100_000, "nested more than 20 deep"),
    "an alias bomb": (
        BOMB,
        "more than 20000 values, counted with its aliases\n  where: here, line 5$",
    ),
    "a list in itself": ("a: &a [*a]\n", r"\*a stands for nothing before it"),
    "a mapping in itself": ("a: &a {b: *a}\n", r"\*a stands for nothing before it"),
    "a list as a key": ("? [a, b]\n: 1\n", "a sequence as a name is no text"),
    "a truth value as a key": ("on: 1\n", "on as a name is no text but a bool: put it in quotes"),
    "nothing as a key": ("~: 1\n", "~ as a name is no text but a null"),
    "a date as a key": ("2024-01-02: 1\n", "2024-01-02 as a name is no text but a timestamp"),
    "a merged mapping": ("a: &a {b: 1}\nc: {<<: *a}\n", "<< as a name is no text but a merge"),
    "a key twice": ("lr: 1\nlr: 2\n", "lr is set twice"),
    "a key twice inside": ("options: {a: 1, a: 2}\n", "a is set twice"),
    "a number and its text as keys": ("options: {171: 1, '171': 2}\n", "171 is set twice"),
    "two documents": ("lr: 1\n---\nlr: 2\n", "more than one document"),
    "a null byte": ("lr: \0\n", "YAML: "),
    "half a quote": ("run: 'abc\n", "found unexpected end of stream"),
    "too many values": (f"a: [{'1, ' * 30_000}]\n", "more than 20000 values"),
    "too long": (f"a: {'x' * (1 << 20)}\n", "MB|characters"),
    "base 60 to infinity": (f"a: 1{':59' * 3000}.5\n", "looks like a number and is none"),
}


@pytest.mark.parametrize(("text", "said"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_yaml_is_one_sentence_at_once(text, said):
    with pace.ends(), pytest.raises(InputError, match=said) as caught:
        documents.yaml_value(text, "here")
    assert "\n" not in caught.value.what
    assert caught.value.where.startswith("here")
    assert len(caught.value.what) < 200


def test_the_command_line_ends_with_2_for_each_of_them(tmp_path):
    paths = []
    for number, (text, _) in enumerate(HOSTILE.values()):
        paths.append(tmp_path / f"{number}.yaml")
        paths[-1].write_text(text)
    done = CliRunner().invoke(main, ["check", *map(str, paths)])
    assert done.exit_code == EXIT_WRONG
    assert done.stdout.count("cannot be used") == len(HOSTILE)


@pytest.mark.parametrize("name", ["epochs", "options", "lr"])
def test_a_value_of_the_command_line_is_read_within_the_same_bounds(name):
    with pytest.raises(InputError, match="5000 digits") as caught:
        parameters.load([], {name: "7" * 5000})
    assert f"-p {name}" in caught.value.where


def test_what_a_person_writes_is_read_as_it_was():
    text = (
        "a: &x [1, 2.5, true, ~, no]\nb: *x\nc: {171: left}\n'2': 0x1f\nd: 2024-01-02\n"
        "e: !!str 5\nf: |\n  long\n  text\ng: 1.0e-4\n"
    )
    plain = yaml.safe_load(text)
    assert documents.yaml_value(text, "") == {**plain, "c": {"171": "left"}}
    assert documents.yaml_value("", "") is None


def test_ten_times_the_values_take_ten_times_as_long_not_a_hundred_times():
    def read(count):
        text = "\n".join(f"name_{number}: [1, 2.5, text]" for number in range(count))
        assert len(documents.yaml_value(text, "")) == count

    assert pace.growth(read, 390, 3900) < 30


def test_a_file_that_is_too_large_is_not_read(tmp_path):
    path = tmp_path / "a.yaml"
    with path.open("wb") as stream:
        stream.truncate(1 << 33)
    with pytest.raises(InputError, match=r"a file of 8589.9 MB"):
        documents.read_yaml(path)


@pytest.mark.parametrize("text", ["- 1\n", "just text", "lr: !!python/name:os.system\n", "a: [\n"])
def test_a_damaged_params_yaml_of_a_run_is_named(tmp_path, text):
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(InputError) as caught:
        runs.parameters(tmp_path)
    assert "params.yaml" in caught.value.where
