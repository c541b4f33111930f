"""Published weights files: what they are, where to get them, whether a file is the right one.

Existing files are not downloaded again; a download is checked before it gets its name.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import re
import shlex
import string
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

from ..errors import InputError, explain_full_disk
from ..files import (
    COMMAND,
    ROOT,
    clear_leftovers,
    create_folder,
    damaged,
    read_mapping,
    says,
    write_text,
)
from ..parallel import locks

# in weights_root: check-sums, recorded at first use, of files without a published one
RECORDS = "recorded.json"
CARDS, _COVERS = ROOT / "docs" / "models", "Weights: "  # one card per network; what it covers
# Names of the cards: an installed package has no docs, and says the same where they stand.
CARDED = (
    "face_api",
    "jca",
    "lfan_backbone",
    "light_asd",
    "lr_asd",
    "torchvision",
    "tsav",
    "utterance",
    "vggish",
    "yunet",
)
CHUNK = 1 << 18  # bytes read at once
ATTEMPTS = 5  # broken connections after which a download is given up
TIMEOUT = 20  # s without an answer
MAX_BYTES = 4 << 30  # most bytes of a file of unknown size
UNREACHED = (urllib.error.URLError, ConnectionError, TimeoutError)
RANGE_NOT_THERE = 416  # HTTP: the download was to continue beyond the file's end


@dataclass(frozen=True)
class Weights:
    """One file. `sha256`: 64 digits (known), eight (prefix), none (recorded at first use).

    `size` is in bytes, 0 if unknown. `source` says where a person gets it; `url` is a direct
    address, "" without one (a form, a cloud drive); `tried` is the date on which this address gave
    the right file, "" if nobody has tried it: the address was then derived from the source's
    layout. `parts` are entries that belong to this one and are downloaded with it; `notice` is the
    text that the licence requires beside the files.
    """

    name: str
    file: str
    what: str
    licence: str
    source: str
    size: int = 0
    sha256: str = ""
    md5: str = ""
    url: str = ""
    tried: str = ""
    parts: tuple[str, ...] = ()
    notice: str = ""

    @property
    def address(self) -> str:
        """The direct address, and whether the file has ever been downloaded from it."""
        if not self.url:
            return "none: get it by hand"
        return f"{self.url} ({f'worked on {self.tried}' if self.tried else 'never tried'})"

    @property
    def state(self) -> str:
        """How the check-sum is known: "known", "prefix" or "recorded at first use"."""
        if len(self.sha256) == 64 or self.md5:
            return "known"
        return "prefix" if self.sha256 else "recorded at first use"


_TSAV = "linked from github.com/kuhnkeF/ABAW2020TNT"
_JCA = (
    "its author: github.com/praveena2j/Joint-Cross-Attention-for-Audio-Visual-Fusion (the "
    "link asks for permission)"
)
_UNLICENSED = "none at its source: all rights reserved"
_VGGISH = "github.com/harritaylor/torchvggish, release v0.1"
_LIGHT_ASD_FILES = "https://raw.githubusercontent.com/Junhua-Liao/Light-ASD/main/weight"
_LIGHT_ASD = "github.com/Junhua-Liao/Light-ASD, folder weight"
_LR_ASD_FILES = "https://raw.githubusercontent.com/Junhua-Liao/LR-ASD/main/weight"
# benchmarks/results, speakers_dialogue: its mean score of a muted mouth is that of a speaking one
_MUTED = "takes a mouth that moves without sound for speech"
_LR_ASD = "github.com/Junhua-Liao/LR-ASD, folder weight"
_FACE_API = "github.com/vladmandic/face-api, folder model (origin: justadudewhohacks/face-api.js)"
_FACE_API_FILES = "https://raw.githubusercontent.com/vladmandic/face-api/master/model/"
_TORCHVISION = "PyTorch's model zoo, as torchvision names it"
_TORCHVISION_FILES = "https://download.pytorch.org/models/"
_FACE_API_LICENCE = "MIT; which pictures it learnt from is not known"
MIT = """Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
SOFTWARE.
"""


def _of_face_api(name: str, file: str, what: str, size: int, sha256: str, **more) -> Weights:
    url = f"{_FACE_API_FILES}{file}"
    return Weights(name, file, what, _FACE_API_LICENCE, _FACE_API, size, sha256, url=url, **more)


_ENTRIES = (
    _of_face_api(
        "face_api",
        "face_expression_model-weights_manifest.json",
        "face-api: seven expressions of a face, with its 68 landmarks: what is where in its files",
        6_980,
        "5b349c17c7836da506e03422cd6461c74085d8bb2713ad4114647dc5d28174c8",
        parts=("face_api_numbers", "face_api_landmarks", "face_api_landmarks_numbers"),
        notice="MIT License\n\nCopyright (c) Vladimir Mandic (face-api)\n"
        "Copyright (c) 2018 Vincent Mühler (face-api.js)\n\n" + MIT,
    ),
    _of_face_api(
        "face_api_numbers",
        "face_expression_model.bin",
        "the numbers of face_api, fetched with it",
        329_468,
        "9a9840f2cf1f4c7eab95f197512569345c00d2426754d4608b92af30e0300f3d",
    ),
    _of_face_api(
        "face_api_landmarks",
        "face_landmark_68_model-weights_manifest.json",
        "68 landmarks of a face, fetched with face_api",
        8_485,
        "ca4886639f86e99b39fed0c155f81b63317225773bd9616716e887b0153389c9",
    ),
    _of_face_api(
        "face_api_landmarks_numbers",
        "face_landmark_68_model.bin",
        "the numbers of face_api_landmarks",
        356_840,
        "4611ef65c87d836d03d684b30eec4d195d8b219fa1dd58fc58945831c6b9299b",
    ),
    Weights(
        "yunet",
        "face_detection_yunet_2023mar.onnx",
        "YuNet face detector: box and five landmarks",
        "MIT (Apache-2.0 in its training repository)",
        "github.com/opencv/opencv_zoo, models/face_detection_yunet",
        232_589,
        "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
        url="https://media.githubusercontent.com/media/opencv/opencv_zoo/main/models/"
        "face_detection_yunet/face_detection_yunet_2023mar.onnx",
    ),
    Weights(
        "light_asd_ava",
        "light_asd_ava.model",
        "Light-ASD trained on AVA-ActiveSpeaker, whole-face crop",
        "MIT",
        f"{_LIGHT_ASD}, pretrain_AVA_CVPR.model",
        4_175_289,
        "d44bc3ea7baa8e0946fa3921311714a630ed8b90a1928fab0dbe30d918909317",
        url=f"{_LIGHT_ASD_FILES}/pretrain_AVA_CVPR.model",
    ),
    Weights(
        "light_asd_talkset",
        "light_asd_talkset.model",
        f"Light-ASD tuned on TalkSet, mouth-region crop; {_MUTED}",
        "MIT",
        f"{_LIGHT_ASD}, finetuning_TalkSet.model",
        4_175_289,
        "efc375833887eefa9d209dc92810e18519b04c3c73ea35a549f2a7f40b7d94d5",
        url=f"{_LIGHT_ASD_FILES}/finetuning_TalkSet.model",
    ),
    Weights(
        "lr_asd_ava",
        "lr_asd_ava.model",
        "LR-ASD trained on AVA-ActiveSpeaker, whole-face crop",
        "MIT",
        f"{_LR_ASD}, pretrain_AVA.model",
        3_426_337,
        "85e6c77fc981595234790d1e128ebb60352d37726b2445e0ef8891e2512fe9e3",
        url=f"{_LR_ASD_FILES}/pretrain_AVA.model",
    ),
    Weights(
        "lr_asd_talkset",
        "lr_asd_talkset.model",
        f"LR-ASD tuned on TalkSet, mouth-region crop; {_MUTED}",
        "MIT",
        f"{_LR_ASD}, finetuning_TalkSet.model",
        3_426_337,
        "6b4ef53694e874e96cf630198dc479c78aebb3993bbf166aee3d926dfe7d9342",
        url=f"{_LR_ASD_FILES}/finetuning_TalkSet.model",
    ),
    Weights(
        "vggish",
        "vggish-10086976.pth",
        "VGGish sound features, PyTorch port",
        "Apache-2.0",
        _VGGISH,
        sha256="10086976",
        url="https://github.com/harritaylor/torchvggish/releases/download/v0.1/vggish-10086976.pth",
    ),
    Weights(
        "vggish_pca",
        "vggish_pca_params-970ea276.pth",
        "whitening of VGGish's features",
        "Apache-2.0",
        _VGGISH,
        sha256="970ea276",
        url="https://github.com/harritaylor/torchvggish/releases/download/v0.1/"
        "vggish_pca_params-970ea276.pth",
    ),
    Weights(
        "kinetics_r2plus1d_18",
        "r2plus1d_18-91a641e6.pth",
        "R(2+1)D-18 trained on Kinetics-400: what TSAV's pictures begin with",
        "BSD-3-Clause (torchvision); it learnt from Kinetics-400, videos of many owners",
        _TORCHVISION,
        sha256="91a641e6",
        url=f"{_TORCHVISION_FILES}r2plus1d_18-91a641e6.pth",
    ),
    Weights(
        "imagenet_resnet18",
        "resnet18-f37072fd.pth",
        "ResNet-18 trained on ImageNet-1K: what TSAV's sound begins with",
        "BSD-3-Clause (torchvision); it learnt from ImageNet: non-commercial research",
        _TORCHVISION,
        sha256="f37072fd",
        url=f"{_TORCHVISION_FILES}resnet18-f37072fd.pth",
    ),
    Weights(
        "tsav_416k",
        "TSAV416k.pth.tar",
        "TSAV as submitted first (in aff2model_tnt.zip)",
        "research only",
        _TSAV,
    ),
    Weights(
        "tsav_544k",
        "TSAV_Sub4_544k.pth.tar",
        "TSAV, submission 4 (in aff2model_tntsub4.zip)",
        "research only",
        _TSAV,
    ),
    Weights(
        "jca",
        "jointcam_model.pt",
        "joint cross-attention, the journal code's network",
        _UNLICENSED,
        _JCA,
    ),
    Weights(
        "lfan_backbone",
        "res50_ir_0.887.pth",
        "IR-50 of LFAN's visual stream: MS-Celeb-1M, then FER+",
        "none known; its training data (MS-Celeb-1M, FER+) are research only",
        "the drive folder linked from github.com/sucv/ABAW3",
    ),
    Weights(
        "tsav_alignment",
        "aff2alignmentdata_tnt.zip",
        "TSAV's alignment data of Aff-Wild2",
        "research only",
        _TSAV,
        md5="806aee937c52103ad7f48b1b19608860",
    ),
)


def registry(entries: Iterable[Weights]) -> dict[str, Weights]:
    """Name -> entry. Raises InputError for a duplicate name: one entry would be hidden."""
    names: dict[str, Weights] = {}
    for weights in entries:
        if weights.name in names:
            raise InputError(
                f"the weights {weights.name} are registered twice",
                where="lib/models/weights.py",
                expected="one entry, with one licence",
                todo="remove one of the two",
            )
        names[weights.name] = weights
    return names


REGISTRY = registry(_ENTRIES)
INITIAL = ("kinetics_r2plus1d_18", "imagenet_resnet18")  # TSAV begins with: pictures, sound


def entry(name: str) -> Weights:
    """The registry's entry. Raises InputError for an unknown name."""
    if name not in REGISTRY:
        raise InputError(f"no weights are called {name!r}", expected=", ".join(REGISTRY))
    return REGISTRY[name]


def card(name: str) -> str:
    """The card of a network in Markdown: ``docs/models/<name>.md``, or the card whose line
    "Weights:" names it. Raises InputError if there is none.
    """
    known: dict[str, Path] = {}
    for file in sorted(CARDS.glob("*.md")):
        covered = next(
            (line for line in file.read_text(encoding="utf-8").splitlines() if _COVERS in line), ""
        )
        names = [word for word in covered.split("`")[1::2] if " " not in word]  # no command
        known |= dict.fromkeys([file.stem, *names], file)
    if name not in known:
        raise InputError(f"no card is called {name!r}", where=CARDS, expected=", ".join(known))
    return known[name].read_text(encoding="utf-8")


def card_line(*names: str) -> str:
    """``card: docs/models/tsav.md`` of the first of these networks that has a card; "" for none."""
    return next((f"card: docs/models/{name}.md" for name in names if name in CARDED), "")


def card_line_of(file: Path) -> str:
    """The same for a published file, which is known by its name."""
    entries = [
        weights.name for weights in REGISTRY.values() if Path(weights.file).name == file.name
    ]
    pairs = ((entry, card) for entry in entries for card in CARDED)
    return card_line(*(card for entry, card in pairs if f"{entry}_".startswith(f"{card}_")))


def path(name: str, weights_root: Path) -> Path:
    """The path of the file, which need not exist."""
    return Path(weights_root) / entry(name).file


def find(name: str, weights_root: Path) -> Path:
    """The path of the checked file. Raises InputError if it is absent or a different file."""
    file = path(name, weights_root)
    if not file.is_file():
        raise _absent(entry(name), file)
    check(name, weights_root)
    return file


class AbsentError(InputError):
    """A weights file is absent and could not be downloaded."""


def _absent(weights: Weights, file: Path, why: str = "") -> AbsentError:
    usual = file.parent.absolute() == ROOT / "weights"
    root = "" if usual else f" --root {shlex.quote(str(file.parent.absolute()))}"
    way = f"`{COMMAND} weights get {weights.name}{root}`, or " if weights.url else ""
    return AbsentError(
        f"the weights {weights.name} are not there{why}",
        where=file,
        expected=weights.what,
        todo=f"{way}get {weights.file} from {weights.source} and put it into {file.parent}/ "
        f"(licence: {weights.licence})",
    )


def check(name: str, weights_root: Path) -> str:
    """Compare an existing file with its check-sum; returns its SHA-256.

    If none was published, the SHA-256 at first use is written to ``<weights_root>/recorded.json``
    and holds from then on. Raises InputError for a different file.
    """
    weights, file = entry(name), path(name, weights_root)
    digest = _digest(file, "sha256")
    if weights.sha256 or weights.md5:
        _compare(weights, file)
        return digest
    recorded = _recorded(weights, file, digest)["sha256"]
    if recorded != digest:
        first = f"recorded at its first use in {file.parent / RECORDS}"
        raise _damaged(weights, file, digest, f"{recorded}, {first}")
    return digest


def _recorded(weights: Weights, file: Path, sha256: str) -> dict:
    """The check-sum recorded at a file's first use, which may be now."""
    records, lock = _records(file.parent), locks.beside(file.parent / RECORDS)
    if weights.file not in records or lock.is_file():  # the lock may be of a killed process
        with locks.held(lock, math.inf, remove=True):
            records = _records(file.parent)  # with entries that others wrote meanwhile
            records.setdefault(weights.file, {"sha256": sha256, "size": file.stat().st_size})
            _write(file.parent / RECORDS, json.dumps(records, indent=1, sort_keys=True))
    return records[weights.file]


def _compare(weights: Weights, file: Path) -> None:
    kind, right = ("sha256", weights.sha256) if weights.sha256 else ("md5", weights.md5)
    digest = _digest(file, kind)
    if not digest.startswith(right):
        raise _damaged(
            weights, file, digest, f"{kind} {right}{'…' if weights.state == 'prefix' else ''}"
        )


def _damaged(weights: Weights, file: Path, digest: str, expected: str) -> InputError:
    return InputError(
        f"this is not the file {weights.file} of {weights.name}: its check-sum is {digest}",
        where=f"{file} ({file.stat().st_size} bytes)",
        expected=expected,
        todo=f"delete it and get it again from {weights.source}",
    )


def _digest(file: Path, kind: str) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, kind).hexdigest()


def _records(weights_root: Path) -> dict:
    records_file = Path(weights_root) / RECORDS
    if not records_file.is_file():
        return {}
    todo = "remove it: what is there now is written down as the first use"
    records = read_mapping(records_file, todo)
    for file, record in records.items():
        if not isinstance(record, dict) or not isinstance(record.get("sha256"), str):
            raise damaged(records_file, f"no check-sum of {file}", todo)
    return records


def _write(file: Path, text: str) -> None:
    if not says(file, text):
        write_text(file, text)


def _address(weights: Weights, file: Path, url: str) -> str:
    """The address of the download: `url` (a file, or a folder of files), else the registered
    one.
    """
    address = f"{url}{weights.file}" if url.endswith("/") else url or weights.url
    if not address:
        raise _absent(weights, file, ", and no address is known that gives it without a person")
    if url and not _is_address(url):
        raise InputError(
            f"the address {url[:200]!r}",
            where=f"weights get {weights.name}",
            expected="http:// or https://, and a machine",
            todo="write it whole, as https://example.org/weights/",
        )
    parts = urllib.parse.urlsplit(
        address
    )  # blanks and letters beyond ASCII as a browser sends them
    path, query = (urllib.parse.quote(text, safe=string.punctuation) for text in parts[2:4])
    return parts._replace(path=path, query=query).geturl()


def _is_address(url: str) -> bool:
    """Whether a text is a whole address of the web, with a machine in it that can have a name."""
    try:
        parts = urllib.parse.urlsplit(url)
        is_machine = bool((parts.hostname or "").encode("idna")) and parts.port != 0
    except ValueError:  # "http://[::1/", "http://a..b/", a port that is no number
        return False
    return parts.scheme in ("http", "https") and is_machine


def get(
    name: str, weights_root: Path, url: str = "", progress: Callable[[int, int], None] | None = None
) -> Path:
    """The path of the file, which is downloaded if absent.

    Arguments
    ---------
    url : an address to use instead of the registry's, for example a local server; for several files
        their folder, ending in ``/``.
    progress : called with (bytes there, bytes in all, or 0).

    A partial download is kept in ``.<file>.part`` and continued. The file gets its name when its
    check-sum is right; an existing file is never replaced. Entries that belong to it
    (`Weights.parts`) are downloaded first, and the notice of its licence is written beside it.
    Raises InputError that says which file goes where.
    """
    weights, file = entry(name), path(name, weights_root)
    for part in weights.parts:
        get(part, weights_root, url, progress)
    if weights.notice:
        _write(Path(weights_root) / f"LICENSE.{name}", weights.notice)
    part = file.with_name(f".{file.name}.part")
    clear_leftovers(Path(weights_root), deep=False)
    if file.is_file():
        _lock(part).unlink(missing_ok=True)  # of a process that was killed when it had the file
        return find(name, weights_root)
    address = _address(weights, file, url)
    create_folder(file.parent)
    with explain_full_disk(file), _alone(part):
        if not file.is_file():  # another process may have finished it while this one waited
            _download(weights, address, part, file, progress)
    return find(name, weights_root)


def _lock(part: Path) -> Path:
    return part.with_suffix(".lock")


@contextlib.contextmanager
def _alone(part: Path):
    """Lock: two processes that append would spoil the file; without locks the check-sum would
    notice.
    """
    with locks.held(_lock(part), math.inf, remove=True):
        part.touch()
        try:
            yield
        finally:
            if part.is_file() and not part.stat().st_size:
                part.unlink()


def _download(
    weights: Weights, address: str, part: Path, file: Path, progress: Callable | None
) -> None:
    reason = _fetch(weights, address, part, file, progress)
    if reason:
        untried = ""
        if address == weights.url and not weights.tried:
            untried = " (an address that nobody has tried yet)"
        raise _absent(weights, file, f", and {address}{untried} {reason}")
    try:
        _compare(weights, part)
    except InputError:
        part.unlink()  # a wrong file cannot be continued
        raise
    with part.open("rb") as stream:
        os.fsync(stream.fileno())
    part.replace(file)


def _fetch(
    weights: Weights, address: str, part: Path, file: Path, progress: Callable | None
) -> str:
    """Fill `part`, continuing after broken connections; returns "" or why it is incomplete.

    A server that sends too much, or an invalid length, is not asked again.
    """
    reason, cause, most = "broke off", "", weights.size or MAX_BYTES
    for _ in range(ATTEMPTS):
        before = part.stat().st_size
        try:
            if _continue(address, part, most, progress):
                return ""
        except _WrongAnswerError as error:
            part.write_bytes(b"")
            return str(error)
        except urllib.error.HTTPError as error:
            if error.code != RANGE_NOT_THERE:
                return f"answers {error.code} {_brief(error.reason)}"
            part.write_bytes(b"")  # longer than the file: it is part of something else
            continue
        except (*UNREACHED, HTTPException, ValueError) as error:
            # ValueError: the address that a server or a proxy names is none.
            reason, cause = f"broke off ({error})", f" ({_brief(getattr(error, 'reason', error))})"
        if part.stat().st_size <= before:
            return f"cannot be reached{cause}" if not before else reason
    return f"{reason} {ATTEMPTS} times"


def _brief(reason: object) -> str:
    return " ".join(str(reason).split())[:120]


class _WrongAnswerError(Exception):
    """A server's answer that cannot be the file; the text continues a message after the address."""


def _continue(address: str, part: Path, most: int, progress: Callable | None) -> bool:
    """Download what `part` lacks, up to `most` bytes; returns whether it is now complete."""
    start = part.stat().st_size
    asked = urllib.request.Request(address, headers={"Range": f"bytes={start}-"} if start else {})
    with urllib.request.urlopen(asked, timeout=TIMEOUT) as answer:
        continued = answer.status == 206
        size = start if continued else 0
        length = _length(answer.headers.get("Content-Length"))
        total = size + length if length else 0
        _bounded(total, most)
        with part.open("ab" if continued else "wb") as stream:
            while piece := answer.read(CHUNK):
                size += len(piece)
                _bounded(size, most)
                stream.write(piece)
                if progress:
                    progress(size, total)
    return not total or size == total


def _length(text: str | None) -> int:
    """Length in bytes that a server announces; 0 if it does not."""
    if text is None:
        return 0
    if not re.fullmatch(r"\s*[0-9]{1,18}\s*", text):
        raise _WrongAnswerError(f"says that it sends {text[:40]!r} bytes")
    return int(text)


def _bounded(there: int, most: int) -> None:
    if there > most:
        raise _WrongAnswerError(f"sends more than the {most} bytes that the file has at most")


def provide(file: Path) -> str:
    """Download a file that the registry knows by its file name, if it or a part of it is absent.

    Nothing happens for files that the registry does not know. Returns the sentence that says what
    was downloaded, "" for nothing.
    """
    file = Path(file)
    known = _of_file(file)
    if known is None:
        return ""
    absent = [
        weights
        for weights in (known, *map(entry, known.parts))
        if not path(weights.name, file.parent).is_file()
    ]
    if not absent:
        return ""
    get(known.name, file.parent)
    size = sum(weights.size for weights in absent) / 1e6
    return f"fetched {known.name} ({size:.2f} MB; licence: {known.licence}) from {known.source}"


def can_be_fetched(file: Path) -> bool:
    """Whether the registry knows a file by its name, and an address to download it from."""
    known = _of_file(Path(file))
    return known is not None and bool(known.url)


def name_of(file: Path) -> str:
    """The registry's name of a file, "" where it knows none."""
    known = _of_file(Path(file))
    return known.name if known else ""


def verify(file: Path) -> None:
    """`check` for a path. Files that the registry does not know by their name are ignored."""
    known = _of_file(Path(file))
    if known:
        check(known.name, Path(file).parent)


def _of_file(file: Path) -> Weights | None:
    return next((weights for weights in REGISTRY.values() if weights.file == file.name), None)


def listing(weights_root: Path) -> list[dict]:
    """One mapping an entry: name, file, there (bool), mb, sha256, state, fault (text), licence,
    source, what, address.

    For an absent file `sha256` is what is known beforehand: all digits, the first eight, an MD5, or
    nothing.
    """
    rows = []
    for weights in REGISTRY.values():
        file, digest, fault = path(weights.name, weights_root), weights.sha256, ""
        if file.is_file():
            try:
                digest = check(weights.name, weights_root)
            except InputError as error:
                fault = error.what
        size = file.stat().st_size if file.is_file() else weights.size
        digest = digest or (f"MD5 {weights.md5}" if weights.md5 else "")
        rows.append(
            {
                "name": weights.name,
                "file": weights.file,
                "there": file.is_file(),
                "mb": size / 1e6,
                "sha256": digest,
                "state": weights.state,
                "fault": fault,
                "licence": weights.licence,
                "source": weights.source,
                "what": weights.what,
                "address": weights.address,
            }
        )
    return rows
