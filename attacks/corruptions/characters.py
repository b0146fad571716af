"""Misspellings: character noise of Belinkov & Bisk (arXiv:1711.02173).

    swap            two neighbouring inner letters change places        noise → nosie
    middle_random   all inner letters are shuffled                      noise → nisoe
    fully_random    all letters are shuffled                            noise → iones
    keyboard        one letter becomes a neighbour on a QWERTY board    noise → noide
    natural         a misspelling that people made, from a given list   noise → noize

The first two leave the outer letters alone and so need four. Words are runs of letters, inner
apostrophes included. Randomness comes from the caller's `random.Random`.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from raiaudit.errors import UnknownNameError, UsageError

__all__ = [
    "KINDS",
    "Misspellings",
    "misspell",
    "misspelt_words",
    "perturb_text",
    "read_misspellings",
    "replaced",
    "words_of",
]

Misspellings = Mapping[str, Sequence[str]]
"""Lower-case word → ways in which it has been misspelt."""

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_TRIES = 8  # a shuffle of "eel" can give "eel" back


def _neighbours() -> dict[str, str]:
    """Letter → letters whose key touches it; each row of keys is shifted against the one above."""
    rows = (("qwertyuiop", 0.0), ("asdfghjkl", 0.25), ("zxcvbnm", 0.75))
    place = {
        letter: (shift + column, row)
        for row, (letters, shift) in enumerate(rows)
        for column, letter in enumerate(letters)
    }
    return {
        letter: "".join(
            other
            for other, (column, row) in place.items()
            if other != letter and abs(column - place[letter][0]) <= 1 and abs(row - place[letter][1]) <= 1
        )
        for letter in place
    }


_KEYBOARD = _neighbours()


def _swap(word: str, rng: random.Random, misspellings: Misspellings) -> str:
    if len(word) < 4:
        return word
    first = rng.randrange(1, len(word) - 2)
    return word[:first] + word[first + 1] + word[first] + word[first + 2 :]


def _middle_random(word: str, rng: random.Random, misspellings: Misspellings) -> str:
    return word[0] + _fully_random(word[1:-1], rng, misspellings) + word[-1] if len(word) > 3 else word


def _fully_random(word: str, rng: random.Random, misspellings: Misspellings) -> str:
    return "".join(rng.sample(word, len(word)))


def _keyboard(word: str, rng: random.Random, misspellings: Misspellings) -> str:
    typed = [place for place, letter in enumerate(word) if letter.lower() in _KEYBOARD]
    if not typed:
        return word
    place = rng.choice(typed)
    letter = rng.choice(_KEYBOARD[word[place].lower()])
    return word[:place] + (letter.upper() if word[place].isupper() else letter) + word[place + 1 :]


def _natural(word: str, rng: random.Random, misspellings: Misspellings) -> str:
    known = misspellings.get(word.lower())
    if not known:
        return word
    chosen = rng.choice(known)
    return chosen[:1].upper() + chosen[1:] if word[0].isupper() else chosen


KINDS: dict[str, Callable[[str, random.Random, Misspellings], str]] = {
    "swap": _swap,
    "middle_random": _middle_random,
    "fully_random": _fully_random,
    "keyboard": _keyboard,
    "natural": _natural,
}


def read_misspellings(lines: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Lines of the authors' `.natural` files: a word, then its misspellings, separated by blanks.

    The files list some words as their own misspelling; those entries are left out.
    """
    found: dict[str, tuple[str, ...]] = {}
    for line in lines:
        word, *others = line.split() or [""]
        different = tuple(other for other in others if other.lower() != word.lower())
        if different:
            found[word.lower()] = found.get(word.lower(), ()) + different
    return found


def words_of(text: str) -> list[re.Match[str]]:
    """The words of a text, with their places."""
    return list(_WORD.finditer(text))


def misspell(
    word: str, kind: str, rng: random.Random, *, misspellings: Misspellings | None = None
) -> str | None:
    """One noisy form of a word, never the word itself; None where the noise cannot change it.

    Raises `UnknownNameError` for a kind that does not exist, `UsageError` for "natural" without a list.
    """
    if kind not in KINDS:
        raise UnknownNameError("character noise", kind, KINDS)
    if kind == "natural" and misspellings is None:
        raise UsageError("natural noise needs a list of misspellings", remedy="see read_misspellings")
    for _ in range(_TRIES):
        noisy = KINDS[kind](word, rng, misspellings or {})
        if noisy != word:
            return noisy
    return None


def perturb_text(
    text: str,
    kind: str,
    fraction: float,
    rng: random.Random,
    *,
    misspellings: Misspellings | None = None,
) -> str:
    """The text with `fraction` of its words misspelt (rounded; fewer where the noise can change fewer)."""
    changes = misspelt_words(text, kind, fraction, rng, misspellings=misspellings)
    return replaced(text, words_of(text), changes)


def misspelt_words(
    text: str,
    kind: str,
    fraction: float,
    rng: random.Random,
    *,
    misspellings: Misspellings | None = None,
) -> dict[int, str]:
    """What `perturb_text` changes: index of the word → its noisy form.

    With an equal generator, the changes at a smaller fraction are the first of those at a larger one.
    """
    words = words_of(text)
    wanted = round(fraction * len(words))
    changes: dict[int, str] = {}
    for index in rng.sample(range(len(words)), len(words)):
        if len(changes) == wanted:
            break
        noisy = misspell(words[index].group(), kind, rng, misspellings=misspellings)
        if noisy is not None:
            changes[index] = noisy
    return changes


def replaced(text: str, words: Sequence[re.Match[str]], changes: Mapping[int, str]) -> str:
    """The text with the words at some indices exchanged, everything between them kept."""
    parts: list[str] = []
    end = 0
    for index, match in enumerate(words):
        parts += [text[end : match.start()], changes.get(index, match.group())]
        end = match.end()
    return "".join([*parts, text[end:]])
