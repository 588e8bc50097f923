"""A log of weekly decisions whom to send what, with the chances they were made with: for bandits and policies."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field
from scipy.special import expit, softmax

from crmlab.datasets.company.base import WEEK, Columns, NotNegative, Number, category, choose, dates
from crmlab.datasets.company.campaigns import consents

if TYPE_CHECKING:
    from crmlab.datasets.company.base import Bools, Floats, Ints
    from crmlab.datasets.company.firm import Block


@dataclass(frozen=True)
class Message:
    """A message that the firm can send.

    Attributes
    ----------
    score, score_by_recent, score_by_age : float
        Its score in the firm's policy: a constant, a change per order of the last 28 days (at most 5 count), and a
        change per ten years of age above 45.
    click : float
        Log-odds of a click by a customer aged 45 who was not written to for 28 days.
    click_by_need : mapping of str to float
        Need segment to a change of the log-odds; segments not named have none.
    click_by_age : float
        Change per ten years of age above 45.
    """

    score: Number
    click: Number
    score_by_recent: Number = 0.0
    score_by_age: Number = 0.0
    click_by_need: Mapping[str, Number] = field(default_factory=dict)
    click_by_age: Number = 0.0


@dataclass(frozen=True)
class Decisions:
    """Decisions by a known stochastic policy, on one day of each of the last weeks.

    Every customer acquired before the day who agreed to e-mail and did not take that back (where the firm runs
    campaigns; else every customer) gets one of the messages or none, with chance `floor` + (1 - k `floor`) × softmax
    of the k scores; the score of none is `none`. The firm cannot see who has left for good: they are written to as
    well, and never click. Every message of the 28 days before lowers the log-odds of a click by `fatigue`.

    Attributes
    ----------
    weeks : int
        Number of decisions for each customer who is there from the first to the last.
    """

    weeks: Annotated[int, Field(ge=1, le=100)]
    messages: Annotated[Mapping[str, Message], Field(min_length=1, max_length=8)]
    none: Number
    floor: Annotated[float, Field(gt=0, le=0.1)]
    fatigue: NotNegative


NONE = "none"
MEMORY = 28.0


@dataclass(frozen=True)
class Log:
    """The decisions of a block, week by week; actions are positions in `actions_of`.

    `chances` and `clicks` have a column per action: the chance that it was chosen, and that it would be clicked.
    """

    customer: "Ints"
    week: "Ints"
    time: "Floats"
    action: "Ints"
    recent: "Ints"
    contacts: "Ints"
    chances: "Floats"
    clicks: "Floats"
    clicked: "Bools"


def actions_of(plan: Decisions) -> list[str]:
    """What can be decided."""
    return [NONE, *plan.messages]


def draw_log(block: "Block") -> Log:
    """Draw the decisions of all weeks, and the clicks."""
    plan, rng = block.scenario.decisions, block.rng("decisions")
    assert plan is not None
    days = block.days - WEEK * np.arange(min(plan.weeks, int(block.days // WEEK)), 0, -1)
    sent = np.zeros((block.n, len(days)), dtype=int)
    constant, parts = _click_odds(block, plan), []
    for week, day in enumerate(days):
        who = np.flatnonzero(_open_to(block, day))
        recent = _recent_orders(block, day)[who]
        contacts = sent[who, max(week - int(MEMORY // WEEK), 0) : week].sum(axis=1)
        chances = _policy(block, plan, who, recent)
        action = choose(rng, chances)
        sent[who, week] = action > 0
        clicks = np.zeros_like(chances)
        present = (block.history.left > day)[who, None]
        clicks[:, 1:] = present * expit(constant[who] - plan.fatigue * contacts[:, None])
        clicked = rng.random(len(who)) < np.take_along_axis(clicks, action[:, None], axis=1)[:, 0]
        at = (np.full(len(who), week), np.full(len(who), day))
        parts.append((who, *at, action, recent, contacts, chances, clicks, clicked))
    return Log(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def _open_to(block: "Block", day: float) -> "Bools":
    before = block.people.acquired < day
    if block.scenario.campaigns is None:
        return before
    return before & consents(block)["email"] & (block.history.outreach.withdrawn["email"] > day)


def _recent_orders(block: "Block", day: float) -> "Ints":
    time = block.history.time
    rows = (time < day) & (time >= day - MEMORY)
    return np.bincount(block.history.customer[rows], minlength=block.n)


def _age(block: "Block") -> "Floats":
    """Tens of years above 45."""
    return (2022 - block.people.birth_year - 45) / 10


def _policy(block: "Block", plan: Decisions, who: "Ints", recent: "Ints") -> "Floats":
    messages = plan.messages.values()
    scores = np.full((len(who), 1 + len(plan.messages)), plan.none)
    scores[:, 1:] = [one.score for one in messages]
    scores[:, 1:] += np.minimum(recent, 5)[:, None] * [one.score_by_recent for one in messages]
    scores[:, 1:] += _age(block)[who, None] * [one.score_by_age for one in messages]
    return plan.floor + (1 - plan.floor * scores.shape[1]) * softmax(scores, axis=1)


def _click_odds(block: "Block", plan: Decisions) -> "Floats":
    """Log-odds of a click on each message without fatigue, one row per customer."""
    messages = list(plan.messages.values())
    needs = list(block.scenario.people.needs)
    by_need = np.array([[one.click_by_need.get(need, 0.0) for one in messages] for need in needs])
    by_age = _age(block)[:, None] * [one.click_by_age for one in messages]
    return np.array([one.click for one in messages]) + by_need[block.people.need] + by_age


def _numbers(block: "Block") -> "Ints":
    """Decision numbers: the customer's number followed by three digits for the week."""
    return block.ids[block.log.customer] * 1000 + block.log.week


def decisions_table(block: "Block") -> Columns:
    """What was decided, with what chance, on what grounds, and what came of it."""
    plan, log = block.scenario.decisions, block.log
    assert plan is not None
    return {
        "decision_id": _numbers(block),
        "customer_id": block.ids[log.customer],
        "date": dates(log.time),
        "action": category(log.action, actions_of(plan)),
        "propensity": np.take_along_axis(log.chances, log.action[:, None], axis=1)[:, 0],
        "recent_orders": log.recent,
        "contacts_last_28_days": log.contacts,
        "clicked": log.clicked,
    }


def true_decisions_table(block: "Block") -> Columns:
    """For every decision and every action: the chance that it was chosen, and that it would be clicked."""
    plan, log = block.scenario.decisions, block.log
    assert plan is not None
    actions = actions_of(plan)
    return {
        "decision_id": np.repeat(_numbers(block), len(actions)),
        "action": category(np.tile(np.arange(len(actions)), len(log.customer)), actions),
        "propensity": log.chances.ravel(),
        "click_probability": log.clicks.ravel(),
    }
