"""Code blocks of a guide, run so that the values beside them are looked at."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

SHOWN = re.compile(r"  # -> (.*)$")


class Checking(ast.NodeTransformer):
    """Turns `expression  # -> value` into `shown(expression, "value")`."""

    def __init__(self, code: str) -> None:
        lines = enumerate(code.splitlines(), start=1)
        self.values = {number: found[1] for number, line in lines if (found := SHOWN.search(line))}

    def visit_Expr(self, node: ast.Expr) -> ast.Expr:
        value = self.values.pop(node.end_lineno or 0, None)
        if value is not None:
            node.value = ast.Call(ast.Name("shown", ast.Load()), [node.value, ast.Constant(value)], [])
        return node


def run(guide: Path, line: int, content: str, names: dict[str, Any]) -> None:
    """Run a block of code that begins at a line of a guide; `shown(value, text)` must be among the names."""
    checking = Checking(content)
    tree = ast.fix_missing_locations(checking.visit(ast.parse(content)))
    assert not checking.values, f"{guide.name}, from line {line}: no expression before {checking.values}"
    ast.increment_lineno(tree, line - 1)
    exec(compile(tree, guide, "exec"), names)
