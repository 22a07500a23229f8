"""The dimensions by which ends are counted. To add one, add a column to `history_new` and to `count_end`."""

from __future__ import annotations

# SQL for an array with the values of a row of `history_new`, by dimension.
OF_CLIENT = {
    "type": "ARRAY[type]",
    "priority": "ARRAY[priority]",
    "template": "ARRAY[template]",
    "provider": "ARRAY[provider]",
    "tag": "ARRAY(SELECT DISTINCT jsonb_array_elements_text(tags))",
    # Only reports are counted by the domain of the sender.
    "domain": "ARRAY[domain]",
}
# Only for all clients together.
OF_ALL = {**OF_CLIENT, "client": "ARRAY[client_id::text]"}
# Those whose values clients choose.
CHOSEN = ("template", "tag", "domain")
DIMENSIONS = tuple(OF_ALL)
