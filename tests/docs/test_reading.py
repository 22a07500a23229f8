"""Tests of the code that executes the documents: it finds each kind of mistake in a page."""

from __future__ import annotations

import pytest

from tests.docs.blocks import UnknownMarker, blocks
from tests.docs.conftest import Reading
from tests.docs.likeness import missing

SEND = """curl -i $NOTIFY_URL/api/notifications -H 'Content-Type: application/json' \\
  -d '{"type":"email","recipient":"ann@example.com","message":"Hello"}'"""
GOOD = f"""
# A page

<!-- aside: sh
NAME=Ann
-->

```sh
{SEND}
```

```http
HTTP/1.1 201 Created
location: /api/notifications/77

{{"id":77,"type":"email","recipient":"ann@example.com",...,"status":"pending",...,"createdAt":"2001-01-01T01:01:01Z",...}}
```

```console
$ echo "Hello $NAME"
Hello Ann
```

```sh
curl $NOTIFY_URL/api/notifications/999999   # 404: there is none
notify status 999999                        # exit code 1
```

<!-- file: hello.py -->
```python
print("Hello")
```

```sh
python hello.py
```

```
Hello
```

```javascript
const answer = await fetch("http://127.0.0.1:8000/healthz");
if (!answer.ok) throw new Error(`the status is ${{answer.status}}`);
```

<!-- file: hello.mjs -->
```javascript
console.log("Hello");
```

```sql
SELECT count(*) FROM notifications WHERE status = 'pending';
```

<!-- schema: Problem -->
```json
{{"type": "about:blank", "title": "Not Found", "detail": "There is none.", "status": 404}}
```

<!-- not run: there is no such program -->
```sh
nothing-like-this
```

```yaml
a: [1, 2]
```

```toml
a = [1, 2]
```

```ini
[Unit]
Description=It
```
"""


def test_a_correct_page_has_no_faults(read: Reading) -> None:
    assert read(blocks(GOOD)) == []


MISTAKES = {
    "a path that is not there": ("/api/notifications -H", "/api/notification -H", "answered with 404"),
    "a field that is not known": ('"message":"Hello"}', '"mesage":"Hello"}', "answered with 422"),
    "a status that does not come": ("201 Created", "202 Accepted", "does not print 'HTTP/1.1 202 Accepted'"),
    "a field that is not answered": (
        '"recipient":"ann@example.com",...',
        '"receiver":"ann@example.com",...',
        "receiver",
    ),
    "another value": ('"status":"pending"', '"status":"sent"', '"status":"sent"'),
    "a header that is not sent": ("location: /api", "place: /api", "does not print 'place:"),
    "a mistake in a command": ("python hello.py", "python helo.py", "failed: 2 python helo.py"),
    "an option that is not there": ("notify status 999999  ", "notify status --all  ", "failed: 2 notify status --all"),
    "an error that does not come": ("# 404: there", "# 409: there", "no request was answered with 409"),
    "an output that is another": ("Hello Ann\n", "Hello Bob\n", "does not print 'HelloBob'"),
    "a program that does not compile": ('print("Hello")', 'print("Hello"', "SyntaxError"),
    "a script that fails": ("8000/healthz", "8000/health", "the status is 404"),
    "a script that does not compile": ('console.log("Hello")', 'console.log("Hello"', "SyntaxError: missing )"),
    "a column that is not there": ("WHERE status =", "WHERE state =", "UndefinedColumn"),
    "what is no JSON": ('"status": 404}', '"status": 404,}', "JSONDecodeError"),
    "what the schema does not know": (
        '"title": "Not Found"',
        '"heading": "Not Found"',
        "'title' is a required property",
    ),
    "a schema that is not there": ("schema: Problem", "schema: Trouble", "no schema 'Trouble'"),
    "what is no YAML": ("a: [1, 2]", "a: [1, 2", "ParserError"),
    "what is no TOML": ("a = [1, 2]", "a = [1, 2", "TOMLDecodeError"),
    "what is no INI": ("[Unit]", "Unit]", "MissingSectionHeaderError"),
    "a language that nobody speaks": ("```yaml", "```cobol", "'cobol'"),
}


def test_each_kind_of_mistake_in_a_page_is_found(read: Reading) -> None:
    """One reading of all: each block stands alone with its mistake, behind what it needs."""
    broken = []
    for kind, (true, untrue, _) in MISTAKES.items():
        assert true in GOOD, kind
        mended = blocks(GOOD)
        changed = blocks(GOOD.replace(true, untrue, 1))
        broken += [block for block, was in zip(changed, mended, strict=True) if block != was]

    faults = read([block for block in blocks(GOOD) if block.file or "NAME" in block.text] + broken, time_limit=0)

    for kind, (_, _, fault) in MISTAKES.items():
        assert any(fault in found for found in faults), (kind, faults)


def test_commands_that_would_change_the_machine_are_not_run(read: Reading) -> None:
    page = "```sh\nmake run\n```\n\n```sh\npip install .\n```\n\n```sh\nkubectl apply -f docker\n```\n"

    faults = [fault for fault in read(blocks(page), time_limit=0) if "it printed" in fault]

    assert [fault.partition("it printed: ")[2].split()[0] for fault in faults] == ["make", "pip", "kubectl"]
    assert all("<!-- not run: REASON -->" in fault for fault in faults)


@pytest.mark.parametrize(
    "page",
    [
        "```\nnobody has printed this\n```\n",
        "```sh\ntrue\n```\n\n```\n1\n```\n\n```\n2\n```\n",
        "<!-- not runn: a mistake -->\n```sh\ntrue\n```\n",
        "<!-- TODO -->\n",
        "<!-- not run: of nothing -->\n\nA text.\n",
    ],
)
def test_an_unknown_or_empty_marker_is_refused(page: str) -> None:
    with pytest.raises(UnknownMarker):
        blocks(page)


@pytest.mark.parametrize(
    ("expected", "printed"),
    [
        ('{"id":1,"at":"2026-11-22T18:51:36.459902Z"}', '{"id": 99, "at": "2027-01-01T00:00:00Z"}'),
        ("ntf_live_12_EXAMPLE-EXAMPLE-abc", "ntf_live_7_q3Z-_x"),
        ("HTTP/1.1 200 OK\nretry-after: 12", "HTTP/1.1 200 OK\r\nserver: x\r\nRetry-After: 3\r\n\r\n{}"),
        ("a ... c", "a b\nc"),
        ("", "anything"),
    ],
)
def test_values_that_change_in_each_run_may_differ_from_the_page(expected: str, printed: str) -> None:
    assert missing(expected, printed) == ""


@pytest.mark.parametrize(
    ("expected", "printed"),
    [
        ('{"status":201}', '{"status":200}'),
        ('{"a":1,"b":2}', '{"b":2,"a":1}'),
        ('{"id":1}', '{"key":1}'),
        ("HTTP/1.1 200 OK\nretry-after: 12", "HTTP/1.1 200 OK\r\n\r\n{}"),
        ("a ... c", "c ... a"),
        ("ntf_live_12_EXAMPLE", "ntf_test_12_EXAMPLE"),
    ],
)
def test_constant_values_must_match_the_page(expected: str, printed: str) -> None:
    assert missing(expected, printed) != ""
