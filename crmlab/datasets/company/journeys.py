"""The launch of a new service: advertising in several channels, visits to the site, and signing up."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field
from scipy.special import expit

from crmlab.datasets.company.base import (
    Columns,
    Count,
    NotNegative,
    Number,
    Positive,
    Share,
    category,
    counts,
    rank,
    scramble,
    stamps,
)

if TYPE_CHECKING:
    from crmlab.datasets.company.base import Bools, Floats, Ints
    from crmlab.datasets.company.firm import Block


@dataclass(frozen=True)
class Medium:
    """A channel of advertising.

    Attributes
    ----------
    touches : float
        Mean number of touches of a customer whose interest is 0.
    by_interest : float
        Change of its logarithm per unit of interest.
    late : float
        A touch comes at the share u^(1/late) of the journey, u uniform: 1 is any time, 4 is mostly near the end.
    effect : float
        Log-odds that endless touches would add to wanting the service; n touches add effect × (1 - 0.5^n).
    clicks : float
        Chance that a touch leads to a visit.
    cost : float
        Cost of one touch, in money.
    held_out : float
        Share of the customers who are kept from it at random.
    """

    touches: NotNegative
    by_interest: Number
    late: Positive
    effect: Number
    clicks: Share
    cost: NotNegative
    held_out: Share


@dataclass(frozen=True)
class Journeys:
    """The launch of a service, advertised to all who are customers on that day.

    Interest is normal around the mean of the need segment, with variance 1. Each customer has one journey, of
    `lasting` days at most and beginning at random, which ends before the customer leaves; all touches fall into it.
    After them the customer wants the service with log-odds `intercept` + `by_interest` × interest + the effects of
    all touches. Who wants it opens the form, led there by the last touch or, without any, at any time of the journey,
    and completes it at once with chance `completes`; of the others a share `asks` looks for help, and completes the
    form then with chance `helped`. Nobody else opens the form. Its variant, A or B, is drawn for each cookie.

    Attributes
    ----------
    service : str
        What is launched.
    days : int
        Days from the launch to the end of the simulation.
    interest : mapping of str to float
        Need segment to mean interest.
    visits : float
        Mean number of visits of their own of customers with interest 0; its logarithm grows with interest.
    logged_in : float
        Share of the visits in which the customer is logged in; whoever completes the form is.
    more_devices : float
        Chance of a second, and then again of a third cookie.
    """

    service: str
    days: Count
    lasting: Positive
    media: Annotated[Mapping[str, Medium], Field(min_length=1)]
    intercept: Number
    by_interest: Number
    interest: Mapping[str, Number]
    visits: NotNegative
    logged_in: Share
    more_devices: Share
    completes: Annotated[Mapping[Literal["A", "B"], Share], Field(min_length=2)]
    asks: Share
    helped: Share


DIRECT = "direct"
VARIANTS: tuple[Literal["A", "B"], ...] = ("A", "B")
PAGES = ("home", "category", "product", "form", "help", "confirmation")
MOST_COOKIES = 3
#: Paths of visits without the form, and how often they are taken.
_VISITS = {
    ("home",): 30,
    ("product",): 15,
    ("home", "category"): 14,
    ("home", "category", "category", "product"): 8,
    ("home", "category", "product"): 10,
    ("category", "product", "product"): 8,
    ("home", "product", "home", "category"): 4,
    ("home", "help"): 6,
    ("home", "product", "help"): 5,
}
#: Paths through the form: completed at once, after help, left, left after help.
_FORMS = (
    ("home", "product", "form", "confirmation"),
    ("product", "form", "help", "form", "confirmation"),
    ("home", "product", "form"),
    ("product", "form", "help"),
)
_PATHS = (*_VISITS, *_FORMS)
_LONGEST_STAY = 9  # minutes on a page
_PAUSE = 120  # minutes between the beginnings of two visits with one cookie, at least


@dataclass(frozen=True)
class Exposure:
    """Who was advertised to; the arrays of touches have a row per customer at the launch and a column per medium.

    Attributes
    ----------
    who : array of int
        Position in the block of each customer at the launch.
    interest, begin, end : array of float
        Interest, and begin and end of the journey in days since the opening.
    held_out : array of bool
    opportunities : array of int
        Touches, or touches that there would have been.
    medium, owner, time : array
        One entry per touch that took place: medium, row of the customer, days since the opening.
    """

    who: "Ints"
    interest: "Floats"
    begin: "Floats"
    end: "Floats"
    held_out: "Bools"
    opportunities: "Ints"
    medium: "Ints"
    owner: "Ints"
    time: "Floats"

    @property
    def touches(self) -> "Ints":
        """Number of touches that took place."""
        return np.where(self.held_out, 0, self.opportunities)


def draw_exposure(block: "Block") -> Exposure:
    """Draw the journeys of a block and the touches in them."""
    plan, rng, people = block.scenario.journeys, block.rng("exposure"), block.people
    assert plan is not None
    launch = max(block.days - plan.days, 0)
    who = np.flatnonzero((people.acquired < launch) & (block.history.left > launch))
    means = np.array([plan.interest[need] for need in block.scenario.people.needs])
    interest = means[people.need[who]] + rng.standard_normal(len(who))
    stop = np.minimum(block.history.left[who], block.days)
    length = np.minimum(plan.lasting, stop - launch)
    begin = launch + rng.random(len(who)) * (stop - launch - length)
    media = list(plan.media.values())
    mean = [one.touches * np.exp(one.by_interest * interest) for one in media]
    opportunities = np.column_stack([counts(rng, one, "journeys.media") for one in mean])
    held_out = rng.random(opportunities.shape) < [one.held_out for one in media]
    touches = np.where(held_out, 0, opportunities).ravel()
    place = np.repeat(np.arange(touches.size), touches)
    owner, medium = place // len(media), place % len(media)
    share = rng.random(len(place)) ** (1 / np.array([one.late for one in media])[medium])
    time = begin[owner] + share * length[owner]
    order = np.lexsort((time, owner))
    return Exposure(
        who, interest, begin, begin + length, held_out, opportunities, medium[order], owner[order], time[order]
    )


def wanting(plan: Journeys, interest: "Floats", touches: "Ints") -> "Floats":
    """Chance that customers with this interest want the service after these touches, a column per medium."""
    effects = np.array([one.effect for one in plan.media.values()])
    return expit(plan.intercept + plan.by_interest * interest + (1 - 0.5**touches) @ effects)


def completing(plan: Journeys) -> "Floats":
    """Chance that the form is completed in the end, by variant."""
    at_once = np.array([plan.completes[variant] for variant in VARIANTS])
    return at_once + (1 - at_once) * plan.asks * plan.helped


def signing_up(plan: Journeys, interest: "Floats", touches: "Ints") -> "Floats":
    """Chance of signing up, whatever variant of the form is seen."""
    return wanting(plan, interest, touches) * completing(plan).mean()


@dataclass(frozen=True)
class Clicks:
    """Pages seen in a block: one entry per event in the order of time, and one per sign-up.

    Attributes
    ----------
    owner, device : array of int
        Row of the customer in `Exposure`, and which of the customer's cookies.
    minute : array of datetime
        When the page was opened.
    entry : array of int
        Medium by which the visit began, or -1 for none.
    page : array of int
        Position in `PAGES`.
    known : array of bool
        Whether the customer was logged in.
    variant : array of int
        One row per customer, one column per cookie.
    devices : array of int
        Number of cookies of each customer.
    """

    owner: "Ints"
    device: "Ints"
    minute: np.ndarray
    entry: "Ints"
    page: "Ints"
    known: "Bools"
    variant: "Ints"
    devices: "Ints"


def draw_clicks(block: "Block") -> Clicks:
    """Draw all visits of a block, page by page."""
    plan, seen, rng = block.scenario.journeys, block.exposure, block.rng("visits")
    assert plan is not None
    n = len(seen.who)
    second = rng.random(n) < plan.more_devices
    devices = 1 + second + (second & (rng.random(n) < plan.more_devices))
    variant = rng.integers(0, 2, (n, MOST_COOKIES))
    owner, time, entry, decides = _visits(plan, seen, rng)
    device = np.where(rng.random(len(owner)) < 0.7, 0, np.floor(rng.random(len(owner)) * devices[owner]).astype(int))
    path = _paths(plan, rng, decides, variant[owner, device])
    start = stamps(time)
    kept = _apart(owner * MOST_COOKIES + device, start, decides)
    owner, device, entry, path, start = owner[kept], device[kept], entry[kept], path[kept], start[kept]

    lengths = np.array([len(pages) for pages in _PATHS])
    visit = np.repeat(np.arange(len(owner)), lengths[path])
    first = np.cumsum(lengths[path]) - lengths[path]
    page = np.concatenate([np.array([PAGES.index(name) for name in pages]) for pages in _PATHS])
    page = page[(np.cumsum(lengths) - lengths)[path][visit] + np.arange(len(visit)) - first[visit]]
    stay = np.cumsum(rng.integers(1, _LONGEST_STAY + 1, len(visit)))
    minute = start[visit] + (stay - stay[first][visit]).astype("timedelta64[m]")
    known = (rng.random(len(owner)) < plan.logged_in)[visit] | (page == PAGES.index("confirmation"))
    order = np.argsort(minute, kind="stable")
    visit = visit[order]
    return Clicks(owner[visit], device[visit], minute[order], entry[visit], page[order], known[order], variant, devices)


def _visits(plan: Journeys, seen: Exposure, rng: np.random.Generator) -> "tuple[Ints, Floats, Ints, Bools]":
    """Owner, time, medium and whether the form is opened, of every visit."""
    n = len(seen.who)
    wants = rng.random(n) < wanting(plan, seen.interest, seen.touches)
    decides = (np.diff(seen.owner, append=-1) != 0) & wants[seen.owner]
    leads = np.array([one.clicks for one in plan.media.values()])[seen.medium]
    clicked = decides | (rng.random(len(leads)) < leads)
    untouched = np.flatnonzero(wants & (seen.touches.sum(axis=1) == 0))
    own = np.repeat(np.arange(n), counts(rng, plan.visits * np.exp(seen.interest), "journeys.visits"))
    direct = np.concatenate([untouched, own])
    time = seen.begin[direct] + rng.random(len(direct)) * (seen.end - seen.begin)[direct]
    return (
        np.concatenate([seen.owner[clicked], direct]),
        np.concatenate([seen.time[clicked], time]),
        np.concatenate([seen.medium[clicked], np.full(len(direct), -1)]),
        np.concatenate([decides[clicked], np.arange(len(direct)) < len(untouched)]),
    )


def _paths(plan: Journeys, rng: np.random.Generator, decides: "Bools", variant: "Ints") -> "Ints":
    n = len(decides)
    weights = np.array(list(_VISITS.values()), dtype=float)
    at_once = rng.random(n) < np.array([plan.completes[name] for name in VARIANTS])[variant]
    asks = rng.random(n) < plan.asks
    helped = rng.random(n) < plan.helped
    form = np.select([at_once, asks & helped, ~asks], [0, 1, 2], 3)
    return np.where(decides, len(_VISITS) + form, rng.choice(len(weights), n, p=weights / weights.sum()))


def _apart(cookie: "Ints", start: np.ndarray, needed: "Bools") -> "Ints":
    """The visits in the order of cookie and time, without those too near to another with the same cookie."""
    order = np.lexsort((start, cookie))
    near = (np.diff(cookie[order]) == 0) & (np.diff(start[order]) < np.timedelta64(_PAUSE, "m"))
    crowded = np.zeros(len(order), dtype=bool)
    crowded[1:] |= near
    crowded[:-1] |= near
    return order[~crowded | needed[order]]


def _cookie_ids(block: "Block", owner: "Ints", device: "Ints") -> "Ints":
    return scramble((block.ids[block.exposure.who[owner]] - 1) * MOST_COOKIES + device)


def holdouts_table(block: "Block") -> Columns:
    """Who was kept from which medium."""
    plan, seen = block.scenario.journeys, block.exposure
    assert plan is not None
    n, media = seen.opportunities.shape
    return {
        "customer_id": np.repeat(block.ids[seen.who], media),
        "channel": category(np.tile(np.arange(media), n), list(plan.media)),
        "held_out": seen.held_out.ravel(),
        "opportunities": seen.opportunities.ravel(),
    }


def touches_table(block: "Block") -> Columns:
    """The touches that took place."""
    plan, seen = block.scenario.journeys, block.exposure
    assert plan is not None
    return {
        "customer_id": block.ids[seen.who[seen.owner]],
        "timestamp": stamps(seen.time),
        "channel": category(seen.medium, list(plan.media)),
        "cost": np.array([one.cost for one in plan.media.values()])[seen.medium],
    }


def clicks_table(block: "Block") -> Columns:
    """The log of the site."""
    plan, log = block.scenario.journeys, block.clicks
    assert plan is not None
    media = [*plan.media, DIRECT]
    return {
        "event_id": (block.ids[0] - 1) * 1000 + np.arange(1, len(log.owner) + 1),
        "cookie_id": _cookie_ids(block, log.owner, log.device),
        "timestamp": log.minute,
        "channel": category(log.entry % len(media), media),
        "page": category(log.page, PAGES),
        "variant": category(log.variant[log.owner, log.device], VARIANTS),
        "customer_id": np.where(log.known, block.ids[block.exposure.who[log.owner]], np.nan),
    }


def sign_ups_table(block: "Block") -> Columns:
    """Who signed up, when, and with which cookie."""
    log = block.clicks
    rows = np.flatnonzero(log.page == PAGES.index("confirmation"))
    return {
        "customer_id": block.ids[block.exposure.who[log.owner[rows]]],
        "date": log.minute[rows],
        "cookie_id": _cookie_ids(block, log.owner[rows], log.device[rows]),
    }


def true_journeys_table(block: "Block") -> Columns:
    """Interest, and the chance of signing up with and without advertising."""
    plan, seen = block.scenario.journeys, block.exposure
    assert plan is not None
    return {
        "customer_id": block.ids[seen.who],
        "interest": seen.interest,
        "probability": signing_up(plan, seen.interest, seen.touches),
        "without_advertising": signing_up(plan, seen.interest, np.zeros_like(seen.opportunities)),
    }


def true_holdouts_table(block: "Block") -> Columns:
    """For every customer and medium the chance of signing up with and without it, the other media as they were."""
    plan, seen = block.scenario.journeys, block.exposure
    assert plan is not None
    both = np.empty((2, *seen.touches.shape))
    for place in range(both.shape[2]):
        touches = seen.touches
        for row, there in enumerate((seen.opportunities[:, place], np.zeros(len(touches), dtype=int))):
            touches[:, place] = there
            both[row, :, place] = signing_up(plan, seen.interest, touches)
    table = holdouts_table(block)
    return {
        "customer_id": table["customer_id"],
        "channel": table["channel"],
        "with_channel": both[0].ravel(),
        "without_channel": both[1].ravel(),
    }


def true_cookies_table(block: "Block") -> Columns:
    """Whose cookie it is; also of those that never came to the site."""
    devices = block.clicks.devices
    owner = np.repeat(np.arange(len(devices)), devices)
    return {
        "cookie_id": _cookie_ids(block, owner, rank(owner)),
        "customer_id": block.ids[block.exposure.who[owner]],
    }
