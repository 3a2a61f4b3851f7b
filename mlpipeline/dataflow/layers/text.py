"""Text layers. For vectors of texts take scikit-learn's vectorizers: `Sklearn(TfidfVectorizer())`."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import cache, partial
from importlib.resources import files
from typing import Any

import numpy as np

from mlpipeline.dataflow.layer import StatelessLayer
from mlpipeline.dataflow.spec import Array, Spec
from mlpipeline.errors import DataError, PipelineError, did_you_mean

LETTER = r"[\w\u0300-\u036f]"  # letters, and accents that stand on their own
WORD = re.compile(rf"(\s*)({LETTER}+(?:['’\-]{LETTER}+)*)([^\S\n]*)")
ORPHANS = re.compile(r"(?:[,;:.!?…]+(?=\s|$)\s*)+")


class RemoveStopwords(StatelessLayer):
    """Texts without the words that carry little meaning; what is left stays as it was written.

    Upper and lower case are the same. None and NaN stay as they are.

    Args:
        language: english, german, french, spanish, italian, portuguese, dutch or swedish.
    """

    checks_itself = True

    def __init__(self, language: str) -> None:
        self.language = language
        stopwords(language)

    def transform(self, x: Array) -> Array:
        if x.dtype.kind not in "UO":
            raise DataError(f"expected texts, but got {x.dtype}")
        words = stopwords(self.language)
        cleaned = np.empty(x.size, dtype=x.dtype)
        cleaned[:] = [without_words(words, text) for text in x.ravel().tolist()]
        return cleaned.reshape(x.shape)

    def infer(self, x: Spec) -> Spec:
        if x.dtype is not None and x.dtype.kind not in "UO":
            raise PipelineError(f"expected texts, but got {x}")
        return x

    def feature_names(self, *names: Sequence[str]) -> Sequence[str]:
        return names[0]


def without_words(words: frozenset[str], text: Any) -> Any:
    """Return a text without some words, and without the spaces that they leave.

    Args:
        words: in lower case; one that ends in an apostrophe is taken from the beginning of words too.
        text: None and NaN are returned as they are.
    Raises: DataError: it is something else than a text.
    """
    if not isinstance(text, str):
        if text is None or text != text:
            return text
        raise DataError(f"expected texts, but got {type(text).__name__}: {text!r:.60}")
    kept, removed = WORD.subn(partial(_kept, words), text)
    if not removed or kept == text:
        return text
    kept = kept.strip()
    return kept if ORPHANS.match(text) else ORPHANS.sub("", kept, count=1) if ORPHANS.match(kept) else kept


def stopwords(language: str) -> frozenset[str]:
    """Return the words of a language that carry little meaning, in lower case; its list is read once.

    Raises: PipelineError: there is no list for this language.
    """
    known = languages()
    if not isinstance(language, str) or language.lower() not in known:
        raise PipelineError(
            f"RemoveStopwords: there is no list for {language!r}{did_you_mean(str(language), known)}; "
            f"expected one of {', '.join(known)}"
        )
    return _read_list(language.lower())


@cache
def languages() -> tuple[str, ...]:
    """Return the languages that have a list."""
    folder = files(__package__) / "stopwords"
    return tuple(sorted(file.name.removesuffix(".txt") for file in folder.iterdir() if file.name.endswith(".txt")))


@cache
def _read_list(language: str) -> frozenset[str]:
    text = (files(__package__) / "stopwords" / f"{language}.txt").read_text(encoding="utf-8")
    return frozenset(map(_normal, text.split()))


def _kept(words: frozenset[str], match: re.Match[str]) -> str:
    before, word, after = match.groups()
    rest = _without_prefix(words, word)
    if rest:
        return f"{before}{rest}{after}"
    if not before or "\n" in before:
        return before
    return after


def _without_prefix(words: frozenset[str], word: str) -> str:
    """Return a word without an article that was drawn into it (l'homme), or nothing when it is to be removed."""
    normal = _normal(word)
    if normal in words:
        return ""
    end = normal.find("'") + 1
    if end and normal[:end] in words:
        return _without_prefix(words, word[end:])
    return word


def _normal(word: str) -> str:
    lower = word.lower().replace("’", "'")
    return lower if lower.isascii() else unicodedata.normalize("NFC", lower)
