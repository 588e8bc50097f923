"""What customers say when they are asked: items of the structural model, a recommendation, an open answer."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field
from scipy.special import expit

from crmlab.datasets.company.base import Columns, Count, Number, Share, Spread, category, dates, rank
from crmlab.datasets.company.people import PATHS
from crmlab.resources import course_dir

if TYPE_CHECKING:
    from crmlab.datasets.company.base import Bools, Floats, Ints
    from crmlab.datasets.company.firm import Block


Construct = Literal[
    "expectations",
    "quality",
    "value",
    "satisfaction",
    "trust",
    "confidence",
    "social",
    "special",
    "commitment",
    "loyalty",
]
Theme = Literal["price", "quality", "staff", "delivery", "choice", "room", "check-in"]


@dataclass(frozen=True)
class Scale:
    """Answers on a scale up to 10 as skewed as real ones: 10.5 less a log-normal distance, rounded.

    Attributes
    ----------
    median, spread : float
        Median answer before rounding, and standard deviation of the distance's logarithm.
    """

    median: Annotated[float, Field(gt=0, lt=10.5)]
    spread: Annotated[float, Field(gt=0, le=10)]


@dataclass(frozen=True)
class Answering:
    """Log-odds of answering: `base` + `by_rate` × (score of the buying rate) + `by_satisfaction` s + `by_extreme` s².

    Here s is the satisfaction at the moment of being asked. Who has left never answers.
    """

    base: Number
    by_rate: Number
    by_satisfaction: Number
    by_extreme: Spread


@dataclass(frozen=True)
class Surveys:
    """Surveys of satisfaction and what drives it.

    A failure that is still felt (the service's `lasting` days, until it is made good) lowers *quality* by `harm`
    standard deviations, and by the paths of the structural model everything that follows from it. Three items measure
    each construct: item = loading × construct + √(1 - loading²) × noise, put on the scale. The recommendation follows
    the sum of the `drivers` and of `noise` × noise.

    Attributes
    ----------
    when : {"yearly", "order"}
        A wave on day `day` of each year among those who bought in the 365 days before, or a question after an order.
    sample : float
        Share of the customers of a wave, or of the orders, that is asked.
    loadings : tuple of 3 float
        Loadings of the items of every construct.
    themes : mapping of str to str
        Construct to the theme of the open answer when it is the lowest of those named and below `content`; ``failure``
        is the theme of those who still feel one, and all others say nothing.
    staff : float
        Share of those asked whom the staff rate as well: `insight` × construct + `optimism` + noise of the rest.
    """

    when: Literal["yearly", "order"]
    sample: Share
    harm: Spread
    loadings: tuple[Share, Share, Share]
    items: Scale
    recommend: Scale
    drivers: Mapping[Construct, Number]
    noise: Spread
    answering: Answering
    themes: Mapping[Construct | Literal["failure"], Theme]
    content: Number
    staff: Share
    insight: Share
    optimism: Number
    day: Count = 290


RATED = ("quality", "satisfaction", "trust", "commitment")
MOST_SURVEYS = 10_000


@dataclass(frozen=True)
class Asked:
    """Everybody whom a survey asked, sorted by customer and time, and what they would say.

    Attributes
    ----------
    customer, time : array
        Position of the customer in the block, and days since the opening.
    attitudes : mapping of str to array of float
        The constructs at that moment.
    felt : array of bool
        Whether a failure was still felt.
    chance, answered : array
        Chance of answering, and whether it happened.
    items : mapping of str to array of int
        Answers to the items, 1 to 10.
    recommend : array of int
        Answer to the recommendation question, 0 to 10.
    theme : array of int
        Position of the theme of the open answer in `themes`.
    """

    customer: "Ints"
    time: "Floats"
    attitudes: Mapping[str, "Floats"]
    felt: "Bools"
    chance: "Floats"
    answered: "Bools"
    items: Mapping[str, "Ints"]
    recommend: "Ints"
    theme: "Ints"


def ask(block: "Block") -> Asked:
    """Draw who is asked, and what they would say."""
    plan, rng = block.scenario.surveys, block.rng("surveys")
    assert plan is not None
    customer, time = _sampled(block, plan, rng)
    felt = still_felt(block, customer, time)
    lowered = harms(plan.harm)
    attitudes = {name: block.people.attitudes[name][customer] - lowered[name] * felt for name in PATHS}
    odds, happy = plan.answering, attitudes["satisfaction"]
    score = block.rates.score[customer]
    chance = expit(odds.base + odds.by_rate * score + odds.by_satisfaction * happy + odds.by_extreme * happy**2)
    chance[block.history.left[customer] < time] = 0.0
    items = {
        f"{name}_{number}": on_scale(
            plan.items, 1, load * drawn + np.sqrt(1 - load**2) * rng.standard_normal(len(time))
        )
        for name, drawn in attitudes.items()
        for number, load in enumerate(plan.loadings, start=1)
    }
    level = sum((weight * attitudes[name] for name, weight in plan.drivers.items()), np.zeros(len(time)))
    return Asked(
        customer=customer,
        time=time,
        attitudes=attitudes,
        felt=felt,
        chance=chance,
        answered=rng.random(len(time)) < chance,
        items=items,
        recommend=on_scale(plan.recommend, 0, level + plan.noise * rng.standard_normal(len(time))),
        theme=_theme(plan, attitudes, felt),
    )


def _sampled(block: "Block", plan: Surveys, rng: np.random.Generator) -> "tuple[Ints, Floats]":
    history = block.history
    if plan.when == "order":
        rows = np.flatnonzero(rng.random(len(history.time)) < plan.sample)
        return history.customer[rows], history.time[rows]
    days = np.floor(np.arange(plan.day, block.days, 365.25))
    wave, customer = np.tile(days, block.n), np.repeat(np.arange(block.n), len(days))
    bought = _before(block, history.customer, history.time)
    recent = bought(customer, wave) > bought(customer, wave - 365)
    asked = recent & (rng.random(len(wave)) < plan.sample)
    return customer[asked], wave[asked]


def _before(block: "Block", customer: "Ints", time: "Floats") -> "Callable[[Ints, Floats], Ints]":
    """How many of these events happened to a customer up to a time, as a function of both."""
    apart = 4.0 * block.days
    keys = np.sort(customer * apart + np.minimum(time, 2.0 * block.days))
    return lambda who, when: np.searchsorted(keys, who * apart + when, side="right")


def still_felt(block: "Block", customer: "Ints", time: "Floats") -> "Bools":
    """Whether a failure of the last `lasting` days has not been made good at these times."""
    service, history, complaints = block.scenario.service, block.history, block.complaints
    if service is None:
        return np.zeros(len(time), dtype=bool)
    owner, failed = history.customer[complaints.row], history.time[complaints.row]
    repaired = np.isfinite(complaints.repaired)
    met = _before(block, owner, failed)
    made_good = _before(block, owner[repaired], complaints.repaired[repaired])
    good_of_old = _before(block, owner[repaired], failed[repaired])
    since = time - service.lasting
    return (met(customer, time) - met(customer, since)) > (made_good(customer, time) - good_of_old(customer, since))


def harms(harm: float) -> Mapping[str, float]:
    """How far each construct falls when *quality* falls by `harm`: the total effects of the structural model."""
    lowered: dict[str, float] = {}
    for name, causes in PATHS.items():
        lowered[name] = harm * (name == "quality") + sum(weight * lowered[cause] for cause, weight in causes.items())
    return lowered


def _measured(rng: np.random.Generator, drawn: "Floats", loading: float) -> "Floats":
    return loading * drawn + np.sqrt(1 - loading**2) * rng.standard_normal(len(drawn))


def on_scale(scale: Scale, lowest: int, drawn: "Floats") -> "Ints":
    """Put standard scores on the scale."""
    return np.clip(np.rint(10.5 - (10.5 - scale.median) * np.exp(-scale.spread * drawn)), lowest, 10).astype("int64")


def _theme(plan: Surveys, attitudes: "Mapping[str, Floats]", felt: "Bools") -> "Ints":
    names = list(themes(plan))
    voiced = [name for name in plan.themes if name != "failure"]
    levels = np.array([attitudes[name] for name in voiced])
    lowest = np.array([names.index(plan.themes[name]) for name in voiced])[levels.argmin(axis=0)]
    theme = np.where(levels.min(axis=0) < plan.content, lowest, names.index("nothing"))
    return np.where(felt, names.index(plan.themes.get("failure", "nothing")), theme)


def themes(plan: Surveys) -> tuple[str, ...]:
    """Themes of open answers."""
    return (*dict.fromkeys(plan.themes.values()), "nothing")


@cache
def phrases(theme: str) -> tuple[str, ...]:
    """Every way to say something on a theme: an opening and an ending of the content file."""
    import yaml

    text = (course_dir("datasets") / "company" / "answers.yml").read_text(encoding="utf-8")
    openings, endings = yaml.safe_load(text)[theme]
    return tuple(opening + ending for opening in openings for ending in endings)


def _open_answers(block: "Block", asked: Asked) -> object:
    plan = block.scenario.surveys
    assert plan is not None
    said = [phrases(theme) for theme in themes(plan)]
    sizes = np.array([len(one) for one in said])
    pick = (block.rng("open answers").random(len(asked.theme)) * sizes[asked.theme]).astype("int64")
    code = (np.cumsum(sizes) - sizes)[asked.theme] + pick
    return category(np.where(asked.answered, code, -1), [phrase for one in said for phrase in one])


def _survey_ids(block: "Block", asked: Asked) -> "Ints":
    return block.ids[asked.customer] * MOST_SURVEYS + rank(asked.customer)


def surveys_table(block: "Block") -> Columns:
    """One row for everybody asked; without an answer, all but the first four columns are missing."""
    asked = block.asked
    return {
        "survey_id": _survey_ids(block, asked),
        "customer_id": block.ids[asked.customer],
        "date": dates(asked.time),
        "answered": asked.answered,
        **{name: np.where(asked.answered, drawn, np.nan) for name, drawn in asked.items.items()},
        "recommend": np.where(asked.answered, asked.recommend, np.nan),
        "open_answer": _open_answers(block, asked),
    }


def true_surveys_table(block: "Block") -> Columns:
    """What everybody asked would have said, and why some did not."""
    plan, asked = block.scenario.surveys, block.asked
    assert plan is not None
    return {
        "survey_id": _survey_ids(block, asked),
        "chance": asked.chance,
        "felt_failure": asked.felt,
        **asked.attitudes,
        "recommend": asked.recommend,
        "theme": category(asked.theme, themes(plan)),
    }


def staff_views_table(block: "Block") -> Columns:
    """What the staff think that some of those asked think of the firm."""
    plan, asked, rng = block.scenario.surveys, block.asked, block.rng("staff views")
    assert plan is not None
    rated = np.flatnonzero(rng.random(len(asked.time)) < plan.staff)

    def view(name: str) -> "Ints":
        return on_scale(plan.items, 1, plan.optimism + _measured(rng, asked.attitudes[name][rated], plan.insight))

    return {
        "customer_id": block.ids[asked.customer[rated]],
        "date": dates(asked.time[rated]),
        **{name: view(name) for name in RATED},
    }
