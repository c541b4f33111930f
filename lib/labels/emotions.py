"""Words for emotions, as data sets write them -> classes of `official.EXPRESSIONS`, of which the
last is Other.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from . import official

CLASSES = official.HEADERS["expression"][-1]
UNLABELLED = -1
WORDS = {
    "Anger": "anger angry ang",
    "Disgust": "disgust disgusted dis",
    "Fear": "fear fearful fea anxiety anxious",
    "Happiness": "joy joyful happy happiness hap",
    "Neutral": "neutral neu",
    "Sadness": "sad sadness",
    "Surprise": "surprise surprised sur ps",
    "Other": "other others oth boredom bored calm contempt excitement excited exc frustration "
    "frustrated fru",
}
CLASS_OF_WORD = {word: name for name, words in WORDS.items() for word in words.split()}
CLASS_OF_WORD["pleasant surprise"] = "Surprise"
# What annotators write where they did not agree, or did not hear an emotion.
NONE = ("xxx", "unknown", "no agreement", "none", "undefined")


def class_of(text: str) -> int | None:
    """The number of a word's class, −1 for one that says that there is no label; None for a word
    that is not known. Capitals and signs between words do not matter.
    """
    word = " ".join(re.findall(r"[^\W_]+", text.lower()))
    if word in NONE:
        return UNLABELLED
    return CLASSES.index(CLASS_OF_WORD[word]) if word in CLASS_OF_WORD else None


def means_one(text: str) -> bool:
    """Whether a word is known and names an emotion."""
    return class_of(text) not in (None, UNLABELLED)


def summary(texts: Iterable[str]) -> str:
    """Which of the words became which class, and how often: ``Anger 3 (ang, Angry)``."""
    counts, words = Counter(), {}
    for text in texts:
        if means_one(text):
            number = class_of(text)
            counts[number] += 1
            words.setdefault(number, {})[text] = None
    return ", ".join(
        f"{CLASSES[number]} {counts[number]} ({', '.join(words[number])})"
        for number in sorted(counts)
    )


def of_other(texts: Iterable[str]) -> list[str]:
    """Words that count as Other and mean an emotion of their own: boredom, calm, …"""
    other = CLASSES.index("Other")
    plain = ("other", "others", "oth")
    return sorted({t for t in texts if class_of(t) == other and t.lower() not in plain})
