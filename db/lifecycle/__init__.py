"""The life of a notification: one function for each transition, and each function one guarded statement.

                accept              claim                  sent
    (client) ----------> pending ----------> processing ----------> sent
           |              ^ | ^ |              | | |
           |      redrive | | | +-- cancel     | | +-- failed: rejected, exhausted, outcome-unknown
           |              | | |  -> cancelled  | |
                          | | +----------------+ |   retry; release, postpone; rescue (its worker died)
           |              | +-- expire, suppress +-- rescue, if no attempt is left
           |              |         |            |
           +--------------+-> failed <-----------+
            accept: the recipient is suppressed

A pending row may wait for evidence about an attempt without an answer: see `unanswered`.

Rules for every function here:

- Losing a race is a value: a function returns what it moved and leaves out the rest.
- A worker that settles must still own the claim: the row is `processing` and has the `claim` number that
  the worker was given. The number only grows.
- One statement is one transaction. Call each function within `connection()`.
- Intervals are in seconds and measured on the database's clock.
- `only_sandbox` restricts a function to notifications accepted with a test key. The API passes it for
  requests that come with such a key.

Statements look rows up by id first (MATERIALIZED) and check the status afterwards: with old statistics, a plan
that started from the status would read the whole backlog. They lock rows in id order, so that two of them never
deadlock.
"""

from db.lifecycle.accept import BOUNDED_WAIT, accept, accept_keyed, milliseconds
from db.lifecycle.claim import AHEAD, begin, claim, doubt, put_off, reroute, still_due, suppress
from db.lifecycle.endpoints import enqueue_test, redrive_callbacks
from db.lifecycle.operate import MOST_ACTS, cancel, cancel_all, redrive, redrive_all, reschedule
from db.lifecycle.rescue import expire, release_unheld, rescue
from db.lifecycle.settle import awaiting, bounced, failed, postpone, release, retry, sent, settle
from db.lifecycle.unanswered import Spacing, give_up, replay

__all__ = [
    "AHEAD",
    "BOUNDED_WAIT",
    "MOST_ACTS",
    "Spacing",
    "accept",
    "accept_keyed",
    "awaiting",
    "begin",
    "bounced",
    "cancel",
    "cancel_all",
    "claim",
    "doubt",
    "enqueue_test",
    "expire",
    "failed",
    "give_up",
    "milliseconds",
    "postpone",
    "put_off",
    "redrive",
    "redrive_all",
    "redrive_callbacks",
    "release",
    "release_unheld",
    "replay",
    "reroute",
    "reschedule",
    "rescue",
    "retry",
    "sent",
    "settle",
    "still_due",
    "suppress",
]
