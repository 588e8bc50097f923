"""Parameters cells and the values given to them: what is read, what is refused and in which words."""

import json
import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crmlab.lab.parameters import Parameter, Text, read_parameters, restrict


def one(line: str) -> Parameter:
    (parameter,) = read_parameters(line)
    return parameter


def test_a_cell_is_read_with_types_defaults_and_help() -> None:
    cell = """
# what to look at
dataset: str = "cdnow"  # a name from the catalogue
segments: int = 5  # how many # hashes stay
share: float = -0.5
log: bool = True
breaks: list[float] = [1.0, 2.5]
columns: dict[str, str] = {}  # your names
"""
    found = {parameter.name: parameter for parameter in read_parameters(cell)}
    assert list(found) == ["dataset", "segments", "share", "log", "breaks", "columns"]
    assert [str(parameter.kind) for parameter in found.values()] == [
        "str", "int", "float", "bool", "list[float]", "dict[str, str]",
    ]  # fmt: skip
    assert [parameter.default for parameter in found.values()] == ["cdnow", 5, -0.5, True, [1.0, 2.5], {}]
    assert found["segments"].help == "how many # hashes stay"
    assert found["log"].help == ""


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("n = 3", "write it as 'name: type = literal"),
        ("n: int", "write it as 'name: type = literal"),
        ("import os", "write it as 'name: type = literal"),
        ("n: int = 3.5", "not a whole number written as a JSON literal"),
        ("n: int = True", "not a whole number"),
        ("n: int = 2 + 3 * x", "not a whole number"),
        ("t: list = (1, 2)", "not a list"),
        ("t: tuple = (1, 2)", "the type 'tuple' is not one of"),
        ("n: int | None = 3", "the type 'int | None' is not one of"),
        ("n: Optional[int] = 3", "the type 'Optional[int]' is not one of"),
        ("n: Literal['a'] = 'a'", "is not one of"),
        ("n: dict[str] = {}", "is not one of"),
        ("d: dict = {1: 2}", "not a dict"),
        ("seed: str = 'x'", "'seed' is reserved and must be of type int"),
        ("columns: dict[str, int] = {}", "'columns' is reserved and must be of type dict[str, str]"),
        ("x: float = 1e999", "not a number"),
    ],
)
def test_a_line_that_is_no_parameter_is_refused(line: str, problem: str) -> None:
    with pytest.raises(ValueError, match=re.escape(problem)):
        read_parameters(line)


def test_all_wrong_lines_are_told_at_once() -> None:
    with pytest.raises(ValueError, match=r"n = 3.*m = 4"):
        read_parameters("n = 3\nk: int = 1\nm = 4")


@pytest.mark.parametrize(
    ("line", "text", "value"),
    [
        ("n: int = 1", "5", 5),
        ("n: int = 1", "-5", -5),
        ("x: float = 1.0", "5", 5.0),
        ("x: float = 1.0", "1e-3", 0.001),
        ("b: bool = True", "no", False),
        ("b: bool = False", "TRUE", True),
        ("s: str = ''", "5", "5"),
        ("v: list[int] = []", "[1, 2]", [1, 2]),
        ("v: list[float] = []", "[1, 2]", [1.0, 2.0]),
        ("d: dict[str, str] = {}", '{"a": "b"}', {"a": "b"}),
        ("d: dict = {}", '{"a": [1]}', {"a": [1]}),
    ],
)
def test_a_typed_text_is_read_by_the_declared_type(line: str, text: str, value: Any) -> None:
    accepted = one(line).accept(Text(text))
    assert accepted == value
    assert type(accepted) is type(value)


@pytest.mark.parametrize(
    ("line", "value", "expected"),
    [
        ("n: int = 1", Text("5.0"), "a whole number"),
        ("n: int = 1", Text("five"), "a whole number"),
        ("n: int = 1", "5", "a whole number"),
        ("n: int = 1", True, "a whole number"),
        ("n: int = 1", 5.0, "a whole number"),
        ("x: float = 1.0", float("nan"), "a number"),
        ("x: float = 1.0", Text("inf"), "a number"),
        ("x: float = 1.0", False, "a number"),
        ("x: float = 1.0", 10**400, "a number"),
        ("b: bool = True", 1, "true or false"),
        ("b: bool = True", Text("1"), "true or false"),
        ("s: str = ''", 5, "text"),
        ("v: list[int] = []", Text("[1, 2.5]"), "a list of a whole number"),
        ("v: list[int] = []", Text("1, 2"), "a list of a whole number"),
        ("d: dict[str, str] = {}", {"a": 1}, "a dict of text to text"),
    ],
)
def test_a_value_of_another_type_is_refused_in_one_line(line: str, value: Any, expected: str) -> None:
    with pytest.raises(ValueError, match="is expected") as error:
        one(line).accept(value)
    name = line.split(":")[0]
    shown = value if isinstance(value, Text) else repr(value)
    assert str(error.value) == f"{name} = {shown}: {expected} is expected"


def test_limits_hold_for_values_and_for_the_elements_of_a_list() -> None:
    n = restrict(one("n: int = 3"), {"min": 2, "max": 10})
    assert n.accept(10) == 10
    assert n.limits() == "at least 2, at most 10"
    for wrong in (1, 11):
        with pytest.raises(ValueError, match=f"^n = {wrong}: must be at least 2, at most 10$"):
            n.accept(wrong)
    with pytest.raises(ValueError, match="v = 0: must be at least 1"):
        restrict(one("v: list[int] = [1]"), {"min": 1}).accept([3, 0])


def test_a_choice_that_is_none_gets_a_suggestion() -> None:
    method = restrict(one("method: str = 'nested'"), {"choices": ["nested", "independent"]})
    with pytest.raises(ValueError, match=r"must be one of nested, independent \(did you mean 'nested'"):
        method.accept("nestd")


@pytest.mark.parametrize(
    ("line", "limits", "problem"),
    [
        ("n: int = 3", {"minimum": 1}, "unknown limit minimum"),
        ("n: int = 3", {"min": 5}, "n = 3: must be at least 5"),
        ("s: str = 'a'", {"min": 5}, "min and max are for numbers"),
        ("d: dict[str, int] = {}", {"max": 5}, "min and max are for numbers"),
        ("s: str = 'a'", {"choices": ["b"]}, "s = a: must be one of b"),
    ],
)
def test_limits_that_contradict_the_cell_are_refused(line: str, limits: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        restrict(one(line), limits)


JSON_VALUES = {
    "int": st.integers(),
    "float": st.floats(allow_nan=False, allow_infinity=False),
    "bool": st.booleans(),
    "str": st.text(),
    "list[int]": st.lists(st.integers()),
    "dict[str, str]": st.dictionaries(st.text(), st.text()),
}


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)  # the first text builds a table of characters
@given(st.data())
def test_every_json_value_survives_the_way_from_the_command_line(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(sorted(JSON_VALUES)))
    value = data.draw(JSON_VALUES[kind])
    parameter = one(f"p: {kind} = {value!r}")
    typed = Text(value if kind == "str" else json.dumps(value))
    assert parameter.default == value
    assert parameter.accept(value) == value
    assert parameter.accept(typed) == value
