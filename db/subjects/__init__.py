"""Find notifications by the words of their subjects, at a cost that does not grow with the table.

Ids are divided into spans of SPAN. For each span that is complete, `subject_words` has a Bloom filter of the words in
its subjects, each together with its client. A search reads only the spans whose filters may hold all its words. Upkeep
makes the filters, so that accepting, claiming and settling a notification costs what it does without them.
"""

from db.subjects.find import page
from db.subjects.keep import forget, keep
from db.subjects.words import words

__all__ = ["forget", "keep", "page", "words"]
