"""Texts without stop words."""

from __future__ import annotations

import numpy as np
import pytest

from mlpipeline.dataflow.layers import RemoveStopwords
from mlpipeline.dataflow.layers.text import languages, stopwords
from mlpipeline.dataflow.node import Input
from mlpipeline.errors import DataError, PipelineError

SENTENCES = {
    "english": ("The cat is on the mat", "cat mat"),
    "german": ("Die Katze liegt auf der Matte", "Katze liegt Matte"),
    "french": ("L'homme qu'il a vu n'était pas à l’école", "homme vu école"),
    "spanish": ("El gato está sobre la mesa", "gato mesa"),
    "italian": ("L'uomo dell'isola è nella casa", "uomo isola casa"),
    "portuguese": ("O gato está em cima da mesa", "gato cima mesa"),
    "dutch": ("De kat zit op de mat", "kat zit mat"),
    "swedish": ("Katten ligger på en matta", "Katten ligger matta"),
}


def cleaned(text, language="english"):
    return RemoveStopwords(language).transform(np.array([text], dtype=object))[0]


@pytest.mark.parametrize("language", SENTENCES)
def test_every_language_has_a_list(language):
    text, expected = SENTENCES[language]
    assert cleaned(text, language) == expected
    assert 100 <= len(stopwords(language)) <= 350


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("THE Cat, and the DOG.", "Cat, DOG."),
        ("I don't think it’s in-house (the best).", "think in-house (best)."),
        ("cats\nand the dogs", "cats\ndogs"),
        ("This is. Good, really!", "Good, really!"),
        ("theory of island isles", "theory island isles"),
        ("  spaced   words ", "  spaced   words "),
        ("the", ""),
        ("", ""),
    ],
)
def test_what_is_left_can_be_read(text, expected):
    assert cleaned(text) == expected


def test_accents_are_the_same_however_they_are_written():
    assert cleaned("gato esta\u0301 aqui\u0301", "spanish") == "gato"


def test_shape_and_dtype_stay():
    texts = np.array([["the cat", "a dog"], ["of mice", "and men"]])
    result = RemoveStopwords("English").transform(texts)
    assert result.tolist() == [["cat", "dog"], ["mice", "men"]]
    assert result.dtype == texts.dtype
    assert RemoveStopwords("english").transform(texts[:0].astype(object)).shape == (0, 2)


def test_missing_texts_stay_missing_and_other_values_are_refused():
    result = RemoveStopwords("english").transform(np.array(["the cat", None, np.nan], dtype=object))
    assert result[:2].tolist() == ["cat", None]
    assert result[2] != result[2]
    with pytest.raises(DataError, match="expected texts, but got int: 3"):
        cleaned(3)
    with pytest.raises(PipelineError, match="expected texts"):
        RemoveStopwords("english")(Input("x", dtype=float))


def test_a_language_without_a_list_is_refused_with_those_that_have_one():
    with pytest.raises(PipelineError, match=r"did you mean german.*dutch, english, french, german, italian"):
        RemoveStopwords("germann")


def test_lists_are_sorted_and_in_lower_case():
    for language in languages():
        assert all(word == word.lower() for word in stopwords(language))
