"""Read YAML within bounds, whoever wrote it: parameter files and values, cluster files, the
params.yaml of a run.
"""

from __future__ import annotations

from pathlib import Path

import yaml

from ..errors import InputError

# Limits of a YAML file: far more than any parameter file has, and read within a second.
YAML_BYTES = 1 << 20
YAML_VALUES = 20_000  # including what its aliases repeat
YAML_DEPTH = 20
INTEGER_BITS = 64  # digits of a number; no parameter needs more
_TAG = "tag:yaml.org,2002:"
_TAGS = {None, "!", *(_TAG + name for name in ("str", "int", "float", "bool", "seq", "map"))}
_KINDS = {"int": "whole number", "float": "number", "bool": "truth value", "timestamp": "date"}


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """A YAML loader that refuses text that would be read as something other than what was meant."""

    def construct_object(self, node, deep=False):
        try:
            return super().construct_object(node, deep)
        except (ValueError, KeyError, AttributeError, TypeError, OverflowError) as error:
            kind = node.tag.removeprefix(_TAG)
            kind = _KINDS.get(kind, kind)  # a date of month 13, the truth value "perhaps"
            raise _fault(
                f"{_brief(node.value)} looks like a {kind} and is none: put it in quotes", node
            ) from error

    def construct_mapping(self, node, deep=False):
        names = set()
        for key, _ in node.value:
            name = _key(self, key)
            if name in names:
                raise _fault(f"{_brief(name)} is set twice", node)
            names.add(name)
        return super().construct_mapping(node, deep)

    def construct_yaml_int(self, node):
        digits = node.value.lstrip("+-")
        if len(digits) > 2 * INTEGER_BITS or super().construct_yaml_int(node).bit_length() > 64:
            raise _fault(f"a whole number of {len(digits)} digits: {_brief(node.value)}", node)
        if ":" in digits or (digits[0] == "0" and digits.isdigit() and digits != "0"):
            raise _fault(
                f"{node.value} would be read as the number "
                f'{super().construct_yaml_int(node)}: write "{node.value}"',
                node,
            )
        return super().construct_yaml_int(node)


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)


def _key(loader: _Loader, node: yaml.Node) -> str:
    """A key as a name; a whole number becomes its text, since trials may be called 171."""
    kind = node.tag.removeprefix(_TAG)
    if kind == "int":
        node.value, node.tag = str(loader.construct_yaml_int(node)), f"{_TAG}str"
    elif kind != "str":
        shown = _brief(node.value) if isinstance(node.value, str) else f"a {node.id}"
        raise _fault(f"{shown} as a name is no text but a {kind}: put it in quotes", node)
    return node.value


def _fault(problem: str, node: yaml.Node | yaml.Event) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)


def _brief(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:37]}…"


def yaml_value(text: str, where: object) -> object:
    """The value of a YAML text: mappings with text keys, lists, texts, numbers, truth values,
    dates.

    Bounded before anything is built (`YAML_BYTES`, `YAML_VALUES`, `YAML_DEPTH`). Raises InputError,
    one sentence with `where` and the line, for text that cannot be read or that would be read as
    something other than what was meant: duplicate keys, invalid dates, tags, numbers of thousands
    of digits.
    """
    try:
        if len(text) > YAML_BYTES:
            raise yaml.YAMLError(f"{len(text)} characters, at most {YAML_BYTES} are read")
        _within_bounds(text)
        return yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise InputError(f"YAML: {error.problem}", where=f"{where}{line}") from error
    except (yaml.YAMLError, UnicodeError) as error:
        raise InputError(f"YAML: {' '.join(str(error).split())}", where=where) from error


def _within_bounds(text: str) -> None:
    """Walk through a document's events without building anything; raise YAMLError for too much."""
    sizes: dict[str, int] = {}  # values below each anchor that is closed
    above: list[tuple[str | None, int]] = []  # the open lists and mappings: anchor, values before
    values = documents = 0
    for event in yaml.parse(text, _Loader):
        documents += isinstance(event, yaml.DocumentStartEvent)
        values += _counted(event, sizes)
        if documents > 1:
            raise _fault("more than one document in it", event)
        if values > YAML_VALUES:
            raise _fault(f"more than {YAML_VALUES} values, counted with its aliases", event)
        if isinstance(event, yaml.CollectionStartEvent):
            above.append((event.anchor, values))
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = above.pop()
            sizes[anchor] = values - before + 1
        elif isinstance(event, yaml.ScalarEvent):
            sizes[event.anchor] = 1
        if len(above) > YAML_DEPTH:
            raise _fault(f"nested more than {YAML_DEPTH} deep", event)


def _counted(event: yaml.Event, sizes: dict[str, int]) -> int:
    """The number of values that an event stands for; raises YAMLError for a tag, or an alias that
    is not allowed here.
    """
    if isinstance(event, yaml.AliasEvent):
        if event.anchor not in sizes:
            raise _fault(f"*{_brief(event.anchor)} stands for nothing before it", event)
        return sizes[event.anchor]
    if not isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent):
        return 0
    if event.tag not in _TAGS:
        raise _fault(f"the tag {_brief(event.tag)} is not read here: write the plain value", event)
    return 1


def read_yaml(path: Path) -> object:
    """The content of a YAML file (`yaml_value`), also with Windows line ends and a byte-order mark.

    Raises InputError for one that cannot be read.
    """
    try:
        size = path.stat().st_size
        if size > YAML_BYTES:
            raise InputError(
                f"YAML: a file of {size / 1e6:.1f} MB",
                where=path,
                expected=f"at most {YAML_BYTES >> 20} MiB: is it a parameter file?",
            )
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeError) as error:
        raise InputError(
            f"this file cannot be read as text: {error}",
            where=path,
            expected="YAML in UTF-8",
            todo="save it in UTF-8 (not in UTF-16, as `>` of an old PowerShell writes)",
        ) from error
    return yaml_value(text, path)
