"""Counts of how notifications ended, by client, hour and dimension.

    statement that ends notifications --> history_new --fold--> history --forget--> (nothing)

The statement that ends notifications adds the counts to `history_new`, so an end is counted if and only if it is
committed. `fold` deletes rows of `history_new` and adds them to `history` in one transaction, so each is added once,
whoever is killed. Callbacks and the notifications of test keys are not counted.
"""

from db.history.ends import COUNT_END, ENDED, counting
from db.history.fold import KEPT, fold, forget
from db.history.read import WINDOWS, Counts, History, read

__all__ = ["COUNT_END", "ENDED", "KEPT", "WINDOWS", "Counts", "History", "counting", "fold", "forget", "read"]
