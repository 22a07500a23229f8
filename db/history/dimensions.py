"""The dimensions by which ends are counted. To add one, add a column to `history_new` and to `count_end`."""

from __future__ import annotations

# SQL for an array with the values of a row of `history_new`, by dimension.
# A tag with an @ may be an address, and addresses must not be kept here: it is counted among the others.
OF_CLIENT = {
    "type": "ARRAY[type]",
    "priority": "ARRAY[priority]",
    "template": "ARRAY[template]",
    "tag": "ARRAY(SELECT DISTINCT CASE WHEN position('@' IN tag) = 0 THEN tag ELSE '' END"
    " FROM jsonb_array_elements_text(tags) AS t (tag))",
}
# Only for all clients together.
OF_ALL = {**OF_CLIENT, "client": "ARRAY[client_id::text]"}
# Those whose values clients choose.
CHOSEN = ("template", "tag")
DIMENSIONS = tuple(OF_ALL)
