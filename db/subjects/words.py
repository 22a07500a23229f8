"""The words of a text, the same for subjects and for what a person types."""

from __future__ import annotations

import re
import unicodedata

_WORD = re.compile(r"\w+")
# Scripts that put no spaces between words: Thai, Lao, Myanmar, Khmer, kana, and Han characters.
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\U00020000-\U0003ffff]")


def words(text: str) -> frozenset[str]:
    """Return the words of a text in one case and one form of Unicode (NFKC).

    Of a script without spaces, each two neighbouring characters count as a word.
    """
    found: set[str] = set()
    for word in _WORD.findall(unicodedata.normalize("NFKC", text).casefold()):
        if len(word) > 1 and _UNSPACED.search(word):
            found.update(word[at : at + 2] for at in range(len(word) - 1))
        else:
            found.add(word)
    return frozenset(found)
