"""A Bloom filter: a set that may say yes to what it does not hold, about once in 5,000 times, and never a wrong no."""

from __future__ import annotations

import struct
from collections.abc import Collection
from hashlib import blake2b

BITS = 20  # per word
HASHES = 7  # bits that a word sets
SMALLEST = 64  # bytes; few words would be too much alike in less
_LARGEST = 2**62 - 1  # PostgreSQL's bigint holds it

Word = tuple[int, str]  # a client and a word of one of its subjects


def filter_of(words: Collection[Word]) -> bytes:
    """Return the filter that holds these words."""
    bits = bytearray(max(SMALLEST, len(words) * BITS // 8))
    size = len(bits) * 8
    for word in words:
        for number in numbers(word):
            place = number % size
            bits[place >> 3] |= 1 << (place & 7)  # as get_bit of PostgreSQL counts
    return bytes(bits)


def numbers(word: Word) -> list[int]:
    """Return the numbers whose bits, modulo the size of a filter, are set if it holds the word."""
    client, text = word
    first, step = struct.unpack("<QQ", blake2b(f"{client} {text}".encode(), digest_size=16).digest())
    return [(first + step * place) & _LARGEST for place in range(HASHES)]


def may_hold(words: Collection[Word]) -> tuple[str, list[int]]:
    """Return a condition for the column `words` of a filter that may hold all of these, and its parameters."""
    wanted = [number for word in words for number in numbers(word)]
    return " AND ".join(["get_bit(words, %s::bigint %% (length(words) * 8)) = 1"] * len(wanted)) or "true", wanted
