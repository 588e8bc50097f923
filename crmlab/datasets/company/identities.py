"""Identities: the same person in the records of several systems, with what goes wrong in writing people down."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field

from crmlab.datasets.company.base import Columns, Positive, Share, category, choose, dates, rank, scramble
from crmlab.resources import course_dir

if TYPE_CHECKING:
    from crmlab.datasets.company.base import Bools, Floats, Ints
    from crmlab.datasets.company.firm import Block


@dataclass(frozen=True)
class System:
    """A system that keeps records of persons: its weight among the records, and whether it takes Chinese characters."""

    share: Positive
    characters: bool = False


@dataclass(frozen=True)
class Identities:
    """Records of persons, and their errors.

    The first record of a customer is made at acquisition, the others on any day on which the customer is one. Changes
    (of address, e-mail, surname) happen once, on any day of the simulation; earlier records keep the former value.

    Attributes
    ----------
    systems : mapping of str to System
        Each record is in one of them, drawn by weight; two records of a customer can be in the same.
    records : tuple of 4 float
        Shares of the customers with one, two, three and four records.
    chinese : float
        Share of the households with a Chinese name: in characters where the system takes them, else in pinyin.
    families : float
        Share of the customers from households of two or more who have a relative among the customers: one of another
        birth date and e-mail, but with the same surname, phone and address.
    moves, new_email, new_surname : float
        Chance of a change, of the household's address and of the customer's e-mail and (Western) surname. E-mail
        addresses are made of the former surname.
    typing : float
        Chance of a typing error (a character inserted, left out, replaced, or swapped with its neighbour) in each field
        in Latin letters or digits of each record: first name, surname, phone, e-mail, street and postcode. One in
        thirty changes nothing, as when two equal letters are swapped.
    nickname : float
        Chance that a record has a nickname, where the first name has one.
    missing : mapping of str to float
        Chance that a record lacks the birth date, phone, e-mail, or street and postcode (``address``).
    swapped : float
        Chance that day and month of birth are swapped, where that gives a date.
    """

    systems: Annotated[Mapping[str, System], Field(min_length=1)]
    records: tuple[Share, Share, Share, Share]
    chinese: Share
    families: Share
    moves: Share
    new_email: Share
    new_surname: Share
    typing: Share
    nickname: Share
    missing: Mapping[Literal["birth_date", "phone", "email", "address"], Share]
    swapped: Share


MOST_RECORDS = 4
_TYPED = ("first_name", "last_name", "phone", "email", "street", "postcode")
_LATIN_ONLY = ("first_name", "last_name")


@dataclass(frozen=True)
class Names:
    """Names to draw from; `nicknames` has one row per first name, which is the name itself where it has none."""

    first: np.ndarray
    nicknames: np.ndarray
    last: np.ndarray
    last_chances: "Floats"
    chinese_last: np.ndarray
    chinese_last_chances: "Floats"
    chinese_given: np.ndarray
    two_characters: float
    streets: np.ndarray
    domains: np.ndarray
    domain_chances: "Floats"


@cache
def names() -> Names:
    """The names of the course's file; columns of Chinese names are characters and pinyin."""
    import yaml

    told = yaml.safe_load((course_dir("datasets") / "company" / "names.yml").read_text(encoding="utf-8"))
    first = list(told["first"])
    rare = [start + end for start in told["beginnings"] for end in told["endings"]]
    common = (1 - told["rare"]) * falling(len(told["last"]))
    chinese = np.array([share for _, share in told["chinese_last"].values()])
    domains = np.array(list(told["email_domains"].values()))
    return Names(
        first=np.array(first),
        nicknames=np.array([np.resize(told["first"][name] or [name], 3) for name in first]),
        last=np.array(told["last"] + rare),
        last_chances=np.concatenate([common, np.full(len(rare), told["rare"] / len(rare))]),
        chinese_last=np.array([(sign, pinyin) for sign, (pinyin, _) in told["chinese_last"].items()]),
        chinese_last_chances=chinese / chinese.sum(),
        chinese_given=np.array(list(told["chinese_given"].items())),
        two_characters=told["two_characters"],
        streets=np.array([f"{name} {kind}" for name in told["streets"] for kind in told["street_kinds"]]),
        domains=np.array(list(told["email_domains"])),
        domain_chances=domains / domains.sum(),
    )


def falling(count: int) -> "Floats":
    """Chances of names from common to rare."""
    weights = (np.arange(1, count + 1) + 5.0) ** -0.8
    return weights / weights.sum()


def heads(block: "Block") -> "Ints":
    """For every customer the first member of the own family among the customers; alone, that is the customer.

    Relatives live in the same region and report the same size and income of the household.
    """
    plan, people = block.scenario.identities, block.people
    assert plan is not None
    head = np.arange(block.n)
    rows = np.flatnonzero((people.size >= 2) & (block.rng("families").random(block.n) < plan.families))
    rows = rows[np.lexsort((people.income[rows], people.size[rows], people.region[rows]))]
    alike = np.column_stack([people.region, people.size, people.income])[rows]
    cell = np.cumsum(np.r_[False, (alike[1:] != alike[:-1]).any(axis=1)][: len(rows)])
    place = rank(cell) % np.minimum(people.size[rows], 3)
    head[rows] = rows[np.arange(len(rows)) - place]
    return head


@dataclass(frozen=True)
class Persons:
    """The true persons: arrays of text with one entry per customer, or two columns, the former value and the present.

    `first` and `last` of Chinese customers are in pinyin; `characters` has given name and surname in characters, and
    is empty for the others. `address` is (former or present, street or postcode).
    """

    chinese: "Bools"
    first: np.ndarray
    nickname: np.ndarray
    last: np.ndarray
    characters: np.ndarray
    birth: np.ndarray
    phone: np.ndarray
    email: np.ndarray
    address: np.ndarray
    changed: "Mapping[str, Floats]"


def draw_persons(block: "Block") -> Persons:
    """Draw the persons behind the customers of a block."""
    plan, rng, head = block.scenario.identities, block.rng("persons"), heads(block)
    assert plan is not None
    known, n = names(), block.n
    chinese = (rng.random(n) < plan.chinese)[head]
    code = rng.choice(len(known.first), n, p=falling(len(known.first)))
    given, surname = _chinese_names(rng, head)

    def change(chance: float) -> "Floats":
        return np.where(rng.random(n) < chance, rng.random(n) * block.days, -np.inf)

    new_surname = np.where(chinese, -np.inf, change(plan.new_surname))
    former, present = known.last[rng.choice(len(known.last), (2, n), p=known.last_chances)]
    western = np.array([np.where(np.isfinite(new_surname), former, present[head]), present[head]])
    first = np.where(chinese, given[1], known.first[code])
    nickname = known.nicknames[code, rng.integers(0, 3, n)]
    last = np.where(chinese, surname[1], western)
    born = (block.people.birth_year - 1970).astype("datetime64[Y]").astype("datetime64[D]")
    number = rng.integers(0, 10**9, n)[head]
    return Persons(
        chinese=chinese,
        first=first,
        nickname=np.where(chinese, first, nickname),
        last=last,
        characters=np.where(chinese, np.array([given[0], surname[0]]), ""),
        birth=born + np.floor(rng.random(n) * 365).astype("timedelta64[D]"),
        phone=np.strings.add("05", np.strings.zfill(number.astype("U9"), 9)),
        email=np.array([_emails(rng, first, last[0], block.people.birth_year) for _ in range(2)]),
        address=_addresses(rng, block.people.region, head),
        changed={
            "address": change(plan.moves)[head],
            "email": change(plan.new_email),
            "surname": new_surname,
        },
    )


def _chinese_names(rng: np.random.Generator, head: "Ints") -> tuple[np.ndarray, np.ndarray]:
    """Given names and surnames, each with a row in characters and a row in pinyin."""
    known, n = names(), len(head)
    parts = known.chinese_given[rng.choice(len(known.chinese_given), (2, n), p=falling(len(known.chinese_given)))]
    second = np.where((rng.random(n) < known.two_characters)[:, None], parts[1], "")
    given = np.strings.add(parts[0], second).T
    surname = known.chinese_last[rng.choice(len(known.chinese_last), n, p=known.chinese_last_chances)[head]].T
    return np.strings.capitalize(given), surname


def _emails(rng: np.random.Generator, first: np.ndarray, last: np.ndarray, birth_year: "Ints") -> np.ndarray:
    n, known = len(first), names()
    shown = np.where(rng.random(n) < 0.7, first, first.astype("U1"))
    separator = np.array([".", "_", ""])[rng.integers(0, 3, n)]
    number = np.where(rng.random(n) < 0.5, birth_year, rng.integers(10, 10_000, n)).astype("U4")
    domain = known.domains[rng.choice(len(known.domains), n, p=known.domain_chances)]
    local = np.strings.lower(_joined(shown, separator, last))
    return _joined(local, number, np.array("@"), domain)


def _addresses(rng: np.random.Generator, region: "Ints", head: "Ints") -> np.ndarray:
    """Former and present streets and postcodes of the households; a street has one postcode in each city."""
    streets, n = names().streets, len(head)
    code = rng.integers(0, len(streets), (2, n))[:, head]
    house = (1 + np.floor(rng.gamma(1.2, 30.0, (2, n)))).astype("int64").astype("U4")[:, head]
    postcode = ((10 + region) * 1000 + code * 7919 % 1000).astype("U6")
    return np.stack([_joined(house, np.array(" "), streets[code]), postcode], axis=1)


def _joined(first: np.ndarray, *others: np.ndarray) -> np.ndarray:
    for other in others:
        first = np.strings.add(first, other)
    return first


@dataclass(frozen=True)
class Records:
    """The records of a block in the order of their numbers, and what is true of each."""

    seen: Columns
    truth: Columns


def draw_records(block: "Block") -> Records:
    """Write the persons down, with all errors."""
    plan, rng, persons = block.scenario.identities, block.rng("records"), block.persons
    assert plan is not None
    who = np.repeat(np.arange(block.n), 1 + choose(rng, np.tile(plan.records, (block.n, 1))))
    copy = rank(who)
    number = scramble((block.ids[who] - 1) * MOST_RECORDS + copy)
    start, stop = block.people.acquired[who], np.minimum(block.history.left, block.days)[who]
    recorded = start + np.where(copy > 0, rng.random(len(who)), 0.0) * (stop - start)
    systems = list(plan.systems.values())
    system = choose(rng, np.tile([one.share for one in systems], (len(who), 1)))
    signs = persons.chinese[who] & np.array([one.characters for one in systems])[system]
    former = {name: recorded < moment[who] for name, moment in persons.changed.items()}

    fields, truth = _written(block, plan, rng, who, signs, former)
    order = np.argsort(number)
    seen = {
        "record_id": number,
        "system": system,
        "recorded_on": dates(recorded),
        **fields,
        "city": block.people.region[who],
    }
    sorted_seen = {name: values[order] for name, values in seen.items()}
    sorted_seen["system"] = category(sorted_seen["system"], list(plan.systems))
    sorted_seen["city"] = category(sorted_seen["city"], block.scenario.people.regions)
    facts = {"record_id": number, "customer_id": block.ids[who], "in_characters": signs, **truth}
    return Records(sorted_seen, {name: values[order] for name, values in facts.items()})


def _written(
    block: "Block",
    plan: Identities,
    rng: np.random.Generator,
    who: "Ints",
    signs: "Bools",
    former: "Mapping[str, Bools]",
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The fields of the records of customers `who`, and which errors they have."""
    persons = block.persons
    nickname = (rng.random(len(who)) < plan.nickname) & ~signs & (persons.nickname != persons.first)[who]
    text = _as_told(persons, who, signs, nickname, former)
    lost: dict[str, Bools] = {name: rng.random(len(who)) < plan.missing.get(name, 0.0) for name in _CAN_MISS}
    lost["street"] = lost["postcode"] = lost["address"]
    errors = np.zeros(len(who), dtype=int)
    for name in _TYPED:
        rows = rng.random(len(who)) < plan.typing
        rows &= ~(signs if name in _LATIN_ONLY else lost[name])
        typed = with_typing_errors(rng, text[name], rows)
        errors += typed != text[name]
        text[name] = typed
    birth, swapped = _births(rng, persons.birth[who], ~lost["birth_date"] & (rng.random(len(who)) < plan.swapped))
    birth = np.where(lost["birth_date"], np.datetime64("NaT"), birth).astype("datetime64[us]")
    fields = {"first_name": text.pop("first_name"), "last_name": text.pop("last_name"), "birth_date": birth}
    fields |= {name: _without(values, lost[name]) for name, values in text.items()}
    return fields, {
        "typing_errors": errors,
        "nickname": nickname,
        "swapped_birth_date": swapped,
        "former_surname": former["surname"],
        "former_email": former["email"] & ~lost["email"],
        "former_address": former["address"] & ~lost["address"],
        "missing_fields": np.sum([lost[name] for name in _CAN_MISS], axis=0),
    }


def _as_told(
    persons: Persons, who: "Ints", signs: "Bools", nickname: "Bools", former: "Mapping[str, Bools]"
) -> dict[str, np.ndarray]:
    """The text fields before anybody mistypes them."""
    now = {name: (~old).astype(int) for name, old in former.items()}
    told = {
        "first_name": np.where(nickname, persons.nickname[who], persons.first[who]),
        "last_name": persons.last[now["surname"], who],
        "phone": persons.phone[who],
        "email": persons.email[now["email"], who],
        "street": persons.address[now["address"], 0, who],
        "postcode": persons.address[now["address"], 1, who],
    }
    for row, name in enumerate(_LATIN_ONLY):
        told[name] = np.where(signs, persons.characters[row, who], told[name])
    return told


_CAN_MISS: tuple[Literal["birth_date", "phone", "email", "address"], ...] = ("birth_date", "phone", "email", "address")


def _without(values: np.ndarray, missing: "Bools") -> np.ndarray:
    kept = values.astype(object)
    kept[missing] = None
    return kept


def _births(rng: np.random.Generator, birth: np.ndarray, chosen: "Bools") -> "tuple[np.ndarray, Bools]":
    """Birth dates with day and month swapped where chosen and possible, and where that was."""
    first = birth.astype("datetime64[M]")
    month, day = first.astype("int64") % 12, (birth - first).astype("int64")
    chosen = chosen & (day < 12) & (day != month)
    other = (first + (day - month)).astype("datetime64[D]") + month.astype("timedelta64[D]")
    return np.where(chosen, other, birth), chosen


def with_typing_errors(rng: np.random.Generator, text: np.ndarray, rows: "Bools") -> np.ndarray:
    """The same text with one typing error in each of the chosen rows; never in the first character."""
    width = text.dtype.itemsize // 4 + 1
    wider = text.astype(f"U{width}")
    old = wider[rows].view("uint32").reshape(-1, width)
    n, length = len(old), np.strings.str_len(text[rows])
    kind = rng.integers(0, 4, n)  # insert, leave out, replace, swap with the character before
    at = 1 + np.floor(rng.random(n) * (length - 1)).astype(int)
    at = np.where(kind == 3, np.maximum(at, np.minimum(2, length - 1)), at)[:, None]
    place, case = np.arange(width), kind[:, None]
    shift = np.select(
        [case == 0, case == 1, case == 3],
        [-(place > at).astype(int), (place >= at).astype(int), (place == at - 1) * 1 - (place == at) * 1],
        0,
    )
    new = np.take_along_axis(old, np.clip(place + shift, 0, width - 1), axis=1)
    here = np.take_along_axis(old, at, axis=1)[:, 0]
    digit = (here >= ord("0")) & (here <= ord("9"))
    other = np.where(digit, ord("0") + rng.integers(0, 10, n), ord("a") + rng.integers(0, 26, n))
    typed = np.flatnonzero((kind == 0) | (kind == 2))
    new[typed, at[typed, 0]] = other[typed]
    wider[rows] = np.ascontiguousarray(new).view(f"U{width}")[:, 0]
    return wider


def identities_table(block: "Block") -> Columns:
    """The records of all systems, in no order that tells whose they are."""
    return block.records.seen


def true_identities_table(block: "Block") -> Columns:
    """Whose the records are, and which errors they have."""
    return block.records.truth


def true_families_table(block: "Block") -> Columns:
    """The customers with a relative among the customers."""
    head = heads(block)
    related = np.flatnonzero(np.bincount(head, minlength=block.n)[head] > 1)
    return {"customer_id": block.ids[related], "household_id": block.ids[head[related]]}
