"""The little language of values in a flavor's extra specs (Nova's user guide, "Extra Specs")."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Final

_NUMERIC: Final[dict[str, Callable[[float, float], bool]]] = {
    "=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
    ">=": operator.ge,
    "<=": operator.le,
}
_TEXTUAL: Final[dict[str, Callable[[str, str], bool]]] = {
    "s==": operator.eq,
    "s!=": operator.ne,
    "s>=": operator.ge,
    "s>": operator.gt,
    "s<=": operator.le,
    "s<": operator.lt,
}


def matches(value: str, wanted: str) -> bool:
    """Whether a value is what an extra spec wants: an operator with operands, or the value itself.

    Operators: `=` (at least), `==`, `!=`, `>=`, `<=` on numbers; `s==` and its like on texts; `<in> x`
    (contains); `<all-in> x y` (contains all); `<or> x <or> y` (is one of). A number is wanted of a value
    that is none: no match.
    """
    words = wanted.split()
    if not words:
        return value == wanted
    sign, operands = words[0], words[1:]
    if sign in _NUMERIC:
        try:
            return bool(operands) and _NUMERIC[sign](float(value), float(operands[0]))
        except ValueError:
            return False
    if sign in _TEXTUAL:
        return bool(operands) and _TEXTUAL[sign](value, operands[0])
    if sign == "<in>":
        return bool(operands) and operands[0] in value
    if sign == "<all-in>":
        return all(operand in value for operand in operands)
    if sign == "<or>":
        return value in [word for word in operands if word != "<or>"]
    return value == wanted
