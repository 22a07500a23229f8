"""Restricted Jinja for the templates of clients. Used in the child process only."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterable, Mapping
from typing import Any

from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError, UndefinedError, nodes
from jinja2.exceptions import SecurityError
from jinja2.meta import find_undeclared_variables
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from api.rendering.faults import Fault, Faulty

PARTS = ("subject", "text", "html")
# Removed because they are useless in a mail, or give another text each time.
REMOVED_FILTERS = ("attr", "pprint", "random", "urlize", "xmlattr")
GLOBALS = ("range", "dict", "namespace", "cycler", "joiner")
LARGEST_POWER = 1_000  # of either side of **
LONGEST_REPEAT = 100_000  # items that * may make of a text or a list
# Exceptions whose messages have types and names only; those of others may repeat a value.
TELLING = (TemplateError, TypeError, OverflowError, ZeroDivisionError)
_MISSING = re.compile(r"'(\w+)' is undefined")
_LOADING = (nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)


class Sandbox(ImmutableSandboxedEnvironment):
    """Jinja environment in which `order.items` is the field of that name, if there is one, and not a Python method."""

    # The process limits provide safety. This check provides an error message.
    intercepted_binops = frozenset(("*", "**"))

    def __init__(self, *, autoescape: bool) -> None:
        super().__init__(autoescape=autoescape, undefined=StrictUndefined)
        self.globals = {name: self.globals[name] for name in GLOBALS}
        for name in REMOVED_FILTERS:
            del self.filters[name]

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, dict) and attribute in obj:
            return obj[attribute]
        return super().getattr(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """Return an item. Errors do not repeat the key, which may come from a variable."""
        found = super().getitem(obj, argument)
        if isinstance(found, StrictUndefined):
            return self.undefined(f"{_kind(obj)} has no such item", exc=found._undefined_exception)
        return found

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        numbers = isinstance(left, (int, float)) and isinstance(right, (int, float))
        if operator == "**" and numbers and max(abs(left), abs(right)) > LARGEST_POWER:
            raise SecurityError(f"a power of numbers beyond {LARGEST_POWER}")
        if operator == "*" and max(_items(left) * _times(right), _items(right) * _times(left)) > LONGEST_REPEAT:
            raise SecurityError(f"a repetition of more than {LONGEST_REPEAT} items")
        return super().call_binop(context, operator, left, right)


class Template:
    """Compiled parts of one version of a template; raises Faulty."""

    _PLAIN = Sandbox(autoescape=False)
    _HTML = Sandbox(autoescape=True)

    def __init__(self, source: Mapping[str, str | None]) -> None:
        self.variables: set[str] = set()
        self._parts: dict[str, Any] = {}
        faults: list[Fault] = []
        for part in PARTS:
            if (text := source.get(part)) is not None:
                try:
                    self._parts[part] = self._compiled(part, text)
                except Faulty as faulty:
                    faults += faulty.faults
        if faults:
            raise Faulty(faults)

    def rendered(self, variables: Mapping[str, Any], limits: Mapping[str, int]) -> dict[str, str]:
        """Return each part as text of at most `limits` characters; raise Faulty."""
        return {
            part: self._text(part, template.generate(variables), limits[part]) for part, template in self._parts.items()
        }

    def _compiled(self, part: str, text: str) -> Any:
        environment = self._HTML if part == "html" else self._PLAIN
        try:
            tree = environment.parse(text)
            if loading := next(tree.find_all(_LOADING), None):
                raise TemplateSyntaxError("other templates cannot be loaded", loading.lineno)
            self.variables |= find_undeclared_variables(tree) - set(GLOBALS)
            code = environment.compile(tree, filename=_place(part))
            return environment.template_class.from_code(environment, code, environment.globals)
        except TemplateSyntaxError as error:
            raise Faulty([Fault(f"/{part}", f"line {error.lineno}: {error.message}")]) from None
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - the template causes it and reports it
            raise Faulty([Fault(f"/{part}", f"cannot be compiled: {_told(error)}")]) from None

    def _text(self, part: str, pieces: Iterable[str], limit: int) -> str:
        taken: list[str] = []
        left = limit
        try:
            for piece in pieces:
                left -= len(piece)
                if left < 0:
                    raise Faulty([Fault("/template", f"its rendered {part} has more than {limit} characters")])
                taken.append(piece)
        except (Faulty, MemoryError):
            raise
        except Exception as error:  # noqa: BLE001 - the template causes it and reports it
            raise Faulty([_fault(part, error)]) from None
        return _storable(part, "".join(taken))


def _storable(part: str, text: str) -> str:
    """Return the text if UTF-8 can encode it; otherwise raise Faulty."""
    try:
        text.encode()
    except UnicodeEncodeError:
        detail = f"its rendered {part} contains half of a surrogate pair (U+D800 to U+DFFF), which is not a character"
        raise Faulty([Fault("/template", detail)]) from None
    return text


def _fault(part: str, error: Exception) -> Fault:
    if isinstance(error, UndefinedError) and (missing := _MISSING.fullmatch(str(error))):
        return Fault(f"/variables/{missing[1]}", f"is required: the template's {part} uses it")
    # Jinja's tracebacks have the lines of the template.
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == _place(part)]
    line = f", line {lines[-1]}" if lines else ""
    return Fault("/variables", f"cannot be used to render {part}{line}: {_told(error)}")


def _place(part: str) -> str:
    return f"<{part}>"


def _told(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "is nested too deeply, or calls itself without end"
    message = str(error) if isinstance(error, TELLING) else ""
    return (message if isinstance(error, TemplateError) and message else f"{type(error).__name__} {message}").strip()


def _kind(value: Any) -> str:
    return "an undefined value" if isinstance(value, StrictUndefined) else f"a {type(value).__name__}"


def _items(value: Any) -> int:
    return len(value) if isinstance(value, (str, list, tuple)) else 0


def _times(value: Any) -> int:
    return value if isinstance(value, int) else 0
