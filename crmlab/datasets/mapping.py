"""Which column of a user's table is which column of the contract: told, or found under its own name, never guessed."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from crmlab.contracts import FIELDS, suggest
from crmlab.errors import ContractError

UNIT_PRICE = "unit_price"
_NAMES = (*(field.name for field in FIELDS["transactions"]), UNIT_PRICE)

#: Other names that such columns go by; they are proposed, never taken unasked.
_OTHER_NAMES = {
    "customer_id": "customer client user household member account buyer cust cid uid shopper 客户 会员 用户 顾客",
    "date": "date time day timestamp datetime stamp 日期 时间",
    "amount": "total revenue sales value price spend paid payment turnover 金额 销售额 价格",
}


def map_columns(found: Sequence[str], told: Mapping[str, str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Which of the file's columns serves for each contract column, and notes on those found without being told.

    Raises
    ------
    ContractError
        Listing everything that is wrong with the mapping, or the columns that are missing with proposals.
    """
    problems = [f"there is no contract column {name!r}{suggest(name, _NAMES)}" for name in told if name not in _NAMES]
    absent = {name: column for name, column in told.items() if column not in found}
    problems += [f"{name!r}: the table has no column {c!r}{suggest(c, found)}" for name, c in absent.items()]
    twice = [column for column, times in Counter(told.values()).items() if times > 1]
    problems += [f"column {column!r} is given for several contract columns" for column in twice]
    if {"amount", UNIT_PRICE} <= set(told):
        problems.append(f"give either 'amount' or {UNIT_PRICE!r} with 'quantity', not both")
    if problems:
        raise ContractError(f"columns= does not fit the table, which has: {_listed(found)}", problems)
    mapping, notes = dict(told), []
    wanted = [name for name in _NAMES if name not in told and not (name == "amount" and UNIT_PRICE in told)]
    for name in wanted:
        if name == UNIT_PRICE and "amount" in mapping:
            continue
        column = _own_name(name, [c for c in found if c not in told.values()])
        if column is not None:
            mapping[name] = column
        if column not in (None, name):
            notes.append(f"column {column!r} was taken for {name}")
    _require(mapping, found)
    return mapping, tuple(notes)


def _own_name(name: str, found: Sequence[str]) -> str | None:
    """The column that has the contract's own name, written in whatever case, with spaces or underscores."""
    if name in found:
        return name
    alike = [column for column in found if re.sub(r"[\s_-]", "", column).casefold() == name.replace("_", "")]
    if len(alike) > 1:
        raise ContractError(f"several columns could be {name!r}: {_listed(alike)}; say which in columns=")
    return alike[0] if alike else None


def _require(mapping: Mapping[str, str], found: Sequence[str]) -> None:
    given = {*mapping, *(["amount"] if {UNIT_PRICE, "quantity"} <= set(mapping) else [])}
    missing = [name for name in ("customer_id", "date", "amount") if name not in given]
    if not missing:
        return
    free = [column for column in found if column not in mapping.values()]
    proposals = {name: near for name in missing if (near := _propose(name, free))}
    message = f"the table lacks {', '.join(missing)}; it has: {_listed(found)}. Say which columns they are"
    message += f", perhaps columns={proposals}" if proposals else f": columns={{{missing[0]!r}: ...}}"
    if "amount" in missing:
        message += f"; instead of an amount, {UNIT_PRICE} and quantity will do"
    if sum(bool(re.fullmatch(r"[-\d./: ]+", column)) for column in found) > len(found) / 2:
        message += "; the first row looks like data: the file needs a row of column names"
    raise ContractError(message)


def _propose(name: str, free: Sequence[str]) -> str | None:
    words = _OTHER_NAMES[name].split()
    return next((column for word in words for column in free if word in column.casefold()), None)


def _listed(columns: Sequence[str]) -> str:
    return ", ".join(map(repr, columns))
