"""The parameters of a chapter: read from its parameters cell, checked against its catalogue entry.

The cell is flat: one ``name: type = literal  # help`` a line. Types are ``str``, ``int``, ``float``, ``bool``,
``list`` and ``dict``, the last two also of these, as in ``list[int]``; values are what JSON can say.
"""

import ast
import io
import json
import math
import tokenize
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from crmlab.contracts import suggest

RESERVED = {
    "dataset": "str",
    "data": "str",
    "columns": "dict[str, str]",
    "acquisition": "str",
    "seed": "int",
    "engine": "str",
}

_BASES: dict[str, Any] = {"str": str, "int": int, "float": float, "bool": bool, "list": list, "dict": dict}
_NAMED = {"str": "text", "int": "a whole number", "float": "a number", "bool": "true or false"}


class Text(str):
    """A value as typed on the command line, to be read by the type that the parameter declares."""


@dataclass(frozen=True)
class Kind:
    """A declared type: a base and the types of what it holds."""

    base: str
    inner: tuple["Kind", ...] = ()

    @classmethod
    def of(cls, annotation: ast.expr) -> "Kind":
        """Read an annotation; ValueError if it is not one that a parameter can have."""
        match annotation:
            case ast.Name(id=base) if base in _BASES:
                return cls(base)
            case ast.Subscript(value=ast.Name(id="list"), slice=held):
                return cls("list", (cls.of(held),))
            case ast.Subscript(value=ast.Name(id="dict"), slice=ast.Tuple(elts=[key, held])):
                return cls("dict", (cls.of(key), cls.of(held)))
        raise ValueError(f"the type {ast.unparse(annotation)!r} is not one of {', '.join(_BASES)}")

    def __str__(self) -> str:
        return f"{self.base}[{', '.join(map(str, self.inner))}]" if self.inner else self.base

    def describe(self) -> str:
        """The type in words."""
        words = _NAMED.get(self.base, f"a {self.base}")
        return f"{words} of {' to '.join(one.describe() for one in self.inner)}" if self.inner else words

    def accept(self, value: Any) -> Any:
        """`value` if it is of this type, with whole numbers taken as float where that is meant; else ValueError."""
        if self.base == "float" and type(value) is int:
            value = float(value)
        if type(value) is not _BASES[self.base] or (self.base == "float" and not math.isfinite(value)):
            raise ValueError
        if self.base == "list" and self.inner:
            return [self.inner[0].accept(one) for one in value]
        if self.base == "dict":
            key, held = self.inner or (Kind("str"), None)
            return {key.accept(name): held.accept(one) if held else one for name, one in value.items()}
        return value

    def read(self, text: str) -> Any:
        """The value that a text typed on the command line stands for; ValueError if it is none of this type."""
        if self.base == "bool":
            return {"true": True, "yes": True, "false": False, "no": False}.get(text.lower())
        return _BASES[self.base](text) if self.base in ("str", "int", "float") else json.loads(text)


@dataclass(frozen=True)
class Parameter:
    """One parameter of a chapter.

    Attributes
    ----------
    name, kind, default, help
        As the parameters cell declares them.
    min, max : float or None
        Bounds of a number (of each element, in a list).
    choices : tuple
        The values allowed; empty if any.
    """

    name: str
    kind: Kind
    default: Any
    help: str = ""
    min: float | None = None
    max: float | None = None
    choices: tuple[Any, ...] = ()

    def accept(self, value: Any) -> Any:
        """`value` as the chapter takes it; ValueError with one clear line if it cannot."""
        try:
            accepted = self.kind.accept(self.kind.read(value) if isinstance(value, Text) else value)
        except (ValueError, OverflowError):
            shown = str(value) if isinstance(value, Text) else repr(value)
            raise ValueError(f"{self.name} = {shown}: {self.kind.describe()} is expected") from None
        for one in accepted if isinstance(accepted, list) else [accepted]:
            self._within(one)
        return accepted

    def limits(self) -> str:
        """What values are allowed beyond the type, in words; empty if any."""
        low = "" if self.min is None else f"at least {self.min:g}"
        high = "" if self.max is None else f"at most {self.max:g}"
        choices = f"one of {', '.join(map(str, self.choices))}" if self.choices else ""
        return ", ".join(filter(None, [low, high, choices]))

    def _within(self, value: Any) -> None:
        low = self.min is not None and value < self.min
        high = self.max is not None and value > self.max
        foreign = bool(self.choices) and value not in self.choices
        if low or high or foreign:
            near = suggest(value, self.choices) if foreign and isinstance(value, str) else ""
            raise ValueError(f"{self.name} = {value}: must be {self.limits()}{near}")


def read_parameters(source: str) -> tuple[Parameter, ...]:
    """Read the source of a parameters cell.

    Parameters
    ----------
    source : str
        Python of the form ``name: type = literal  # help``, one a line.

    Returns
    -------
    tuple of Parameter

    Raises
    ------
    ValueError
        If a line is anything else. The message lists every such line.

    Examples
    --------
    >>> (segments,) = read_parameters("segments: int = 5  # how many")
    >>> segments.name, str(segments.kind), segments.default, segments.help
    ('segments', 'int', 5, 'how many')
    """
    helps = _comments(source)
    parameters, problems = [], []
    for line in ast.parse(source).body:
        try:
            parameters.append(_read_line(line, helps.get(line.end_lineno or 0, "")))
        except ValueError as problem:
            problems.append(f"{ast.unparse(line)!r}: {problem}")
    if problems:
        raise ValueError("; ".join(problems))
    return tuple(parameters)


def restrict(parameter: Parameter, limits: Mapping[str, Any]) -> Parameter:
    """A parameter with the limits that its catalogue entry states; ValueError if these make no sense for it."""
    unknown = sorted(set(limits) - {"min", "max", "choices"})
    if unknown:
        raise ValueError(f"{parameter.name}: unknown limit {', '.join(unknown)}; known are min, max, choices")
    numeric = str(parameter.kind) in ("int", "float", "list[int]", "list[float]")
    if not numeric and not limits.keys().isdisjoint({"min", "max"}):
        raise ValueError(f"{parameter.name}: min and max are for numbers, not for {parameter.kind}")
    restricted = replace(parameter, **{**limits, "choices": tuple(limits.get("choices", ()))})
    restricted.accept(parameter.default)
    return restricted


def _read_line(line: ast.stmt, help: str) -> Parameter:
    if not isinstance(line, ast.AnnAssign) or not isinstance(line.target, ast.Name) or line.value is None:
        raise ValueError("write it as 'name: type = literal  # help'")
    name, kind = line.target.id, Kind.of(line.annotation)
    if RESERVED.get(name, str(kind)) != str(kind):
        raise ValueError(f"{name!r} is reserved and must be of type {RESERVED[name]}")
    try:
        default = kind.accept(ast.literal_eval(line.value))
    except ValueError:
        raise ValueError(f"the default is not {kind.describe()} written as a JSON literal") from None
    return Parameter(name, kind, default, help)


def _comments(source: str) -> dict[int, str]:
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {one.start[0]: one.string.lstrip("# ") for one in tokens if one.type == tokenize.COMMENT}
