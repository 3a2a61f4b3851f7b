"""Filter expressions over named columns, such as `learning_rate < 0.1 and status == 'SUCCEEDED'`.

compile_where          text -> syntax tree of Python -> closures; nothing is ever called or looked up but columns
    _Compiler.truth    what is true, false or, of a missing value, neither
    _Compiler.value    a number, a text, a list or a column
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from mlpipeline.errors import ReportError

Row = TypeVar("Row")

_LONGEST = 2000
_DEEPEST = 100
_QUOTED = re.compile(r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|`([^`]+)`""")
_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda left, right: left in right,
    ast.NotIn: lambda left, right: left not in right,
}
_HINT = "an example: learning_rate < 0.1 and status == 'SUCCEEDED'"


def _depth(tree: ast.AST) -> int:
    """Return how deep an expression nests."""
    deepest, level = 0, [tree]
    while level:
        deepest, level = deepest + 1, [below for node in level for below in ast.iter_child_nodes(node)]
    return deepest


def compile_where(text: str, column: Callable[[str], Callable[[Row], Any]]) -> Callable[[Row], bool]:
    """Return what tells whether a row matches.

    A missing value (None or NaN), or two that have no order, make a comparison neither true nor false, as in SQL: the
    row does not match, unless another part of an `or` decides. `x is None` asks for missing values.

    Args:
        text: comparisons, also chained or with `in`, joined by and, or, not; + - * / of numbers; texts, numbers and
            lists as in Python. Names with dots stand as they are, others that are no identifiers in backticks.
        column: returns what reads the column of a name; raises ReportError for an unknown one.
    Raises: ReportError: the text is no such expression, or names no column; the message tells the place.
    """
    if len(text) > _LONGEST:
        raise ReportError(f"--where: expected at most {_LONGEST} characters, but got {len(text)}")
    text = text.strip()
    names: dict[str, str] = {}
    plain = _QUOTED.sub(lambda match: _placeholder(match, names), re.sub(r"[\n\r]", " ", text))
    try:
        tree = ast.parse(plain, mode="eval").body
        if _depth(tree) > _DEEPEST:
            raise RecursionError
        truth = _Compiler(plain, text, names, column).truth(tree)
    except SyntaxError as error:
        place = f" at character {error.offset}" if error.offset else ""
        raise ReportError(f"--where {text!r} cannot be read{place}: {error.msg}; {_HINT}") from None
    except (ValueError, RecursionError, MemoryError):
        raise ReportError(
            f"--where {text[:60]!r} cannot be read: it nests too deep, or holds a null; {_HINT}"
        ) from None
    return lambda row: truth(row) is True


def _placeholder(match: re.Match[str], names: dict[str, str]) -> str:
    """Return an identifier of the same length for a name in backticks, so that places in the text stay."""
    if match[1] is None:
        return match[0]
    # a letter that no keyboard gives by accident, and its number in the text
    word = chr(0xA000 + len(names) % 0x400) + "_" * (len(match[0]) - 1)
    names[word] = match[1]
    return word


class _Compiler(Generic[Row]):
    """Makes closures from a syntax tree. Args: plain: the text with placeholders; names: what they stand for."""

    def __init__(
        self, plain: str, text: str, names: dict[str, str], column: Callable[[str], Callable[[Row], Any]]
    ) -> None:
        self._plain = plain
        self._text = text
        self._names = names
        self._column = column

    def truth(self, node: ast.expr) -> Callable[[Row], bool | None]:
        """Return what tells whether a part is true; None where a value is missing."""
        if isinstance(node, ast.BoolOp):
            parts = [self.truth(part) for part in node.values]
            return _all(parts) if isinstance(node.op, ast.And) else _any(parts)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return _not(self.truth(node.operand))
        if isinstance(node, ast.Compare):
            return self._comparison(node)
        value = self.value(node)  # a column of true and false, or a constant
        return lambda row: None if _is_missing(found := value(row)) else bool(found)

    def value(self, node: ast.expr) -> Callable[[Row], Any]:
        """Return what computes a part; None where a value is missing."""
        if isinstance(node, ast.Constant):
            return self._constant(node)
        if isinstance(node, (ast.Name, ast.Attribute)):
            return self._named(node)
        if isinstance(node, (ast.Tuple, ast.List)):
            parts = [self.value(part) for part in node.elts]
            if all(isinstance(part, ast.Constant) for part in node.elts):
                fixed = [part.value for part in node.elts if isinstance(part, ast.Constant)]
                return lambda row: fixed
            return lambda row: [part(row) for part in parts]
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
            operand = self.value(node.operand)
            return _calculated(operator.neg if isinstance(node.op, ast.USub) else operator.pos, operand)
        if isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
            return _calculated(_ARITHMETIC[type(node.op)], self.value(node.left), self.value(node.right))
        if isinstance(node, (ast.Compare, ast.BoolOp, ast.UnaryOp)):
            return self.truth(node)
        raise self._refusal(node)

    def _constant(self, node: ast.Constant) -> Callable[[Row], Any]:
        value = node.value
        if not isinstance(value, (int, float, str, type(None))):
            raise self._refusal(node)
        return lambda row: value

    def _named(self, node: ast.expr) -> Callable[[Row], Any]:
        parts: list[str] = []
        inner = node
        while isinstance(inner, ast.Attribute):
            parts.append(inner.attr)
            inner = inner.value
        if not isinstance(inner, ast.Name):
            raise self._refusal(node)
        name = ".".join(reversed([*parts, self._names.get(inner.id, inner.id)]))
        try:
            return self._column(name)
        except ReportError as error:
            raise ReportError(f"--where {self._text!r}, character {self._place(node)}: {error}") from None

    def _comparison(self, node: ast.Compare) -> Callable[[Row], bool | None]:
        sides = [node.left, *node.comparators]
        parts = [
            self._pair(operation, left, right)
            for operation, left, right in zip(node.ops, sides, sides[1:], strict=False)
        ]
        return parts[0] if len(parts) == 1 else _all(parts)

    def _pair(self, operation: ast.cmpop, left: ast.expr, right: ast.expr) -> Callable[[Row], bool | None]:
        if (
            isinstance(right, ast.Constant)
            and right.value is None
            and isinstance(operation, (ast.Is, ast.IsNot, ast.Eq, ast.NotEq))
        ):
            asked, wanted = self.value(left), isinstance(operation, (ast.Is, ast.Eq))
            return lambda row: _is_missing(asked(row)) is wanted
        compared = _COMPARISONS.get(type(operation))
        if compared is None:
            raise self._refusal(left)
        return _compared(compared, self.value(left), self.value(right))

    def _place(self, node: ast.expr) -> int:
        return len(self._plain.encode()[: node.col_offset].decode(errors="ignore")) + 1

    def _refusal(self, node: ast.expr) -> ReportError:
        place = self._place(node)
        return ReportError(
            f"--where {self._text!r}, character {place}: expected comparisons of columns, numbers and texts, "
            f"but got {self._text[place - 1 :][:40]!r}; {_HINT}"
        )


def _is_missing(value: Any) -> bool:
    return value is None or value != value  # NaN


def _all(parts: list[Callable[[Row], bool | None]]) -> Callable[[Row], bool | None]:
    def truth(row: Row) -> bool | None:
        result: bool | None = True
        for part in parts:
            found = part(row)
            if found is False:
                return False
            if found is None:
                result = None
        return result

    return truth


def _any(parts: list[Callable[[Row], bool | None]]) -> Callable[[Row], bool | None]:
    def truth(row: Row) -> bool | None:
        result: bool | None = False
        for part in parts:
            found = part(row)
            if found:
                return True
            if found is None:
                result = None
        return result

    return truth


def _not(part: Callable[[Row], bool | None]) -> Callable[[Row], bool | None]:
    return lambda row: None if (found := part(row)) is None else not found


def _calculated(operation: Callable[..., Any], *parts: Callable[[Row], Any]) -> Callable[[Row], Any]:
    def value(row: Row) -> Any:
        numbers = [part(row) for part in parts]
        if not all(isinstance(number, (int, float)) for number in numbers):
            return None  # also keeps a text from being multiplied to any length
        try:
            return operation(*numbers)
        except (ArithmeticError, ValueError):
            return None

    return value


def _compared(
    operation: Callable[[Any, Any], bool], left: Callable[[Row], Any], right: Callable[[Row], Any]
) -> Callable[[Row], bool | None]:
    def truth(row: Row) -> bool | None:
        first, second = left(row), right(row)
        if first is None or second is None or first != first or second != second:
            return None
        try:
            return operation(first, second)
        except TypeError:  # they have no order, or the right one holds nothing
            return None

    return truth
