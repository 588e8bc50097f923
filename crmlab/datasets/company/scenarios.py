"""Scenarios: all the parameters of a simulated firm, read from a file and checked."""

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from crmlab.contracts import suggest
from crmlab.datasets.company import bonds, decisions, journeys
from crmlab.datasets.company.assortment import Assortment
from crmlab.datasets.company.bonds import Bonds
from crmlab.datasets.company.buying import Buying, Spend
from crmlab.datasets.company.campaigns import Campaigns
from crmlab.datasets.company.decisions import Decisions
from crmlab.datasets.company.desk import Desk
from crmlab.datasets.company.identities import Identities
from crmlab.datasets.company.journeys import Journeys
from crmlab.datasets.company.network import Network
from crmlab.datasets.company.people import People
from crmlab.datasets.company.programme import Programme
from crmlab.datasets.company.sales import Sales
from crmlab.datasets.company.service import Service
from crmlab.datasets.company.surveys import Surveys
from crmlab.datasets.company.tenure import Subscription
from crmlab.datasets.company.usage import Usage
from crmlab.datasets.company.wallet import Wallet
from crmlab.errors import ContractError
from crmlab.resources import course_dir

LARGEST_SPEND, LONGEST_QUEUE = 10_000_000, 10_000


@dataclass(frozen=True)
class Scenario:
    """A firm before its customers are drawn: one entry per process, None where the firm has no such thing.

    Scenarios are frozen; ``dataclasses.replace(scenario("grocer"), programme=None)`` is the same firm without a
    loyalty programme.

    Attributes
    ----------
    name, title, facts : str
        Name, title for people, and which published facts the parameters match.
    buying, spend : Buying, Spend or None
        None where the firm sells subscriptions and nothing else: its orders are the monthly invoices.
    """

    __pydantic_config__: ClassVar = {"allow_inf_nan": False}

    name: str
    title: str
    facts: str
    people: People
    buying: Buying | None
    spend: Spend | None
    assortment: Assortment
    wallet: Wallet | None = None
    service: Service | None = None
    desk: Desk | None = None
    surveys: Surveys | None = None
    programme: Programme | None = None
    campaigns: Campaigns | None = None
    subscription: Subscription | None = None
    usage: Usage | None = None
    bonds: Bonds | None = None
    sales: Sales | None = None
    identities: Identities | None = None
    network: Network | None = None
    journeys: Journeys | None = None
    decisions: Decisions | None = None


def scenario_names() -> tuple[str, ...]:
    """The named scenarios."""
    return tuple(sorted(path.stem for path in _folder().glob("*.yml")))


def scenario(name: str | Path) -> Scenario:
    """A named scenario, or one from a file of your own.

    Parameters
    ----------
    name : str or path
        A name from `scenario_names`, or the path of a YAML file of the same form.

    Raises
    ------
    ContractError
        If there is no such scenario, or a parameter of the file is unknown, missing or out of its range.

    Examples
    --------
    >>> scenario("textbook").buying.r
    0.553
    """
    if isinstance(name, Path) or name.endswith((".yml", ".yaml")):
        return _read(Path(name))
    if name not in scenario_names():
        near = suggest(name, scenario_names())
        raise ContractError(f"there is no scenario {name!r}{near}; choose one of {', '.join(scenario_names())}")
    return _named(name)


def checked(scenario: Scenario) -> Scenario:
    """The same scenario, when all its parameters are in their ranges; else every problem at once."""
    return parse(dataclasses.asdict(scenario), f"scenario {scenario.name!r}")


def parse(fields: Any, where: str) -> Scenario:
    """Build a scenario from plain values."""
    from pydantic import TypeAdapter, ValidationError

    try:
        found = TypeAdapter(Scenario).validate_python(fields)
    except ValidationError as error:
        problems = [
            f"{'.'.join(map(str, one['loc'])) or 'all of it'}: {one['msg']}; got {one['input']!r}"
            for one in error.errors()
        ]
        raise ContractError(f"{where} cannot be simulated", problems) from None
    unknown = list(_unknown(fields, dataclasses.asdict(found)))
    if unknown:
        raise ContractError(f"{where} has parameters that nothing reads", unknown)
    conflicts = list(_conflicts(found))
    if conflicts:
        raise ContractError(f"{where} has processes that do not go together", conflicts)
    return found


def _unknown(given: Any, read: Any, path: str = "") -> Iterator[str]:
    """Parameters that were given and not read, each with a near name."""
    if isinstance(given, dict) and isinstance(read, dict):
        for name, value in given.items():
            if name in read:
                yield from _unknown(value, read[name], f"{path}{name}.")
            else:
                yield f"{path}{name}{suggest(name, read)}"
    elif isinstance(given, list | tuple):
        for place, (one, other) in enumerate(zip(given, read, strict=True)):
            yield from _unknown(one, other, f"{path}{place}.")


def _conflicts(one: Scenario) -> Iterator[str]:
    """What one process asks of another and does not find."""
    yield from _strangers(one)
    yield from _sizes(one)
    if one.buying is None:
        yield from _invoice_conflicts(one)
    elif one.spend is None:
        yield "spend: needed where there is buying"
    if one.usage is not None and one.subscription is None:
        yield "usage: needs a subscription"
    if one.bonds is not None and one.people.kind != "account":
        yield "bonds: are for accounts, set people.kind to account"
    if one.bonds is not None and (one.buying is None or one.buying.process != "pareto"):
        yield "bonds: act on a drop-out rate, set buying.process to pareto"


def _strangers(one: Scenario) -> Iterator[str]:
    """Names that are used and nowhere given, and needs that are nowhere answered."""
    goods, needs = one.assortment, set(one.people.needs)
    categories = {product.category for product in goods.products.values()}
    known: dict[str, tuple[Iterable[str], set[str]]] = {}
    for name, occasion in goods.occasions.items():
        known[f"assortment.occasions.{name}.needs"] = (occasion.needs, needs)
        known[f"assortment.occasions.{name}.categories"] = (occasion.categories, categories)
    for name, message in one.decisions.messages.items() if one.decisions else ():
        known[f"decisions.messages.{name}.click_by_need"] = (message.click_by_need, needs)
    for place, rule in enumerate(goods.rules):
        known[f"assortment.rules.{place}"] = ((rule.given, rule.then_buys), set(goods.products))
    for where, (used, given) in known.items():
        yield from (f"{where}: {name!r} is not known{suggest(name, given)}" for name in used if name not in given)
    for need in sorted(needs):
        if one.buying and not any(occasion.needs.get(need, 0) > 0 for occasion in goods.occasions.values()):
            yield f"assortment.occasions: none is for the need {need!r}"
    by_need = {
        "programme.effect": one.programme.effect if one.programme else needs,
        "campaigns.gain_need": one.campaigns.gain_need if one.campaigns else needs,
        "journeys.interest": one.journeys.interest if one.journeys else needs,
    }
    for where, answered in by_need.items():
        if set(answered) != needs:
            yield f"{where}: needs one entry for each of {', '.join(sorted(needs))}"
    taken = {
        "decisions.messages": (one.decisions.messages if one.decisions else (), decisions.NONE),
        "journeys.media": (one.journeys.media if one.journeys else (), journeys.DIRECT),
        "bonds.levels": (one.bonds.levels if one.bonds else (), bonds.NONE),
    }
    yield from (f"{where}: the name {name!r} is taken" for where, (given, name) in taken.items() if name in given)


def _sizes(one: Scenario) -> Iterator[str]:
    """Numbers that are each in their range and do not fit together."""
    goods, desk, tiers = one.assortment, one.desk, list(one.programme.tiers.values()) if one.programme else [0]
    shares = {
        "people.channels": [channel.share for channel in one.people.channels.values()],
        "assortment.channels": [channel.share for channel in goods.channels.values()],
        "subscription.plans": [plan.share for plan in one.subscription.plans.values()] if one.subscription else [1],
        "identities.records": one.identities.records if one.identities else [1],
        "desk.channels": desk.channels.values() if desk else [1],
    }
    for where, parts in shares.items():
        if abs(sum(parts) - 1) > 1e-6:
            yield f"{where}: the shares add up to {sum(parts):.6g}, not to 1"
    if tiers[0] != 0 or sorted(set(tiers)) != tiers:
        yield f"programme.tiers: must rise from 0, got {tiers}"
    if one.spend is not None and one.spend.p * one.spend.gamma > LARGEST_SPEND:
        yield f"spend: p times gamma is more than {LARGEST_SPEND:,}, lower one"
    if desk is not None and desk.peak() > LONGEST_QUEUE:
        yield f"desk: more than {LONGEST_QUEUE:,} calls at once, lower calls, weekdays, hours, handling or patience"
    if (
        desk is not None
        and one.service is not None
        and not sum(desk.channels.get(name, 0) for name in ("email", "chat"))
    ):
        yield "desk.channels: complaints are made in writing, give email or chat a share"
    if one.surveys is not None and not set(one.surveys.themes) - {"failure"}:
        yield "surveys.themes: name a construct beside failure"
    if one.campaigns is not None and one.campaigns.per_year * one.campaigns.window > 365:
        yield "campaigns: overlap, lower per_year or window"


def _invoice_conflicts(one: Scenario) -> Iterator[str]:
    if one.subscription is None or one.subscription.share < 1:
        yield "buying: without it everybody subscribes, set subscription.share to 1"
    else:
        for plan in one.subscription.plans:
            if plan not in one.assortment.products:
                yield f"subscription.plans.{plan}: is not among assortment.products, as it must without buying"
    for name in ("spend", "wallet", "service", "programme", "campaigns"):
        if getattr(one, name) is not None:
            yield f"{name}: acts on buying, which is None"


def _folder() -> Path:
    return course_dir("datasets") / "company" / "scenarios"


@cache
def _named(name: str) -> Scenario:
    return _read(_folder() / f"{name}.yml")


def _read(path: Path) -> Scenario:
    import yaml

    try:
        fields = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ContractError(f"{path} cannot be read as a scenario: {error}") from None
    return parse(fields, str(path))
