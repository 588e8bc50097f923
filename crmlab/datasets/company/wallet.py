"""What customers spend elsewhere: the true wallet, seen only for the households of a panel."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field
from scipy.special import betaincinv, ndtr

from crmlab.datasets.company.base import WEEK, Columns, Correlation, Positive, Share, category, counts, dates
from crmlab.datasets.company.buying import season_by_day

if TYPE_CHECKING:
    from crmlab.datasets.company.base import Floats
    from crmlab.datasets.company.firm import Block


@dataclass(frozen=True)
class Wallet:
    """Purchases of the same category at rivals.

    While a customer of the firm, a household gives it the share s ~ Beta(a, b) of its orders, and buys at rivals by a
    Poisson process of rate lambda (1 - s) / s; afterwards it gives rivals all, at rate lambda / s. The season
    holds at rivals too.

    Attributes
    ----------
    a, b : float
        Parameters of the Beta distribution of shares.
    loyalty : float
        Correlation of the share with the attitude *loyalty* on the normal scale.
    rivals : tuple of str
        Names; the k-th rival gets weight 1/k.
    panel : float
        Share of the customers whose purchases at rivals are known, because they report all they buy.
    """

    a: Positive
    b: Positive
    loyalty: Correlation
    rivals: Annotated[tuple[str, ...], Field(min_length=1)]
    panel: Share


LEAST_SHARE = 0.05  # a smaller share would mean a household that lives on shopping


def shares(block: "Block") -> "Floats":
    """True share of each customer's orders that the firm gets while they are its customer."""
    plan, rng = block.scenario.wallet, block.rng("shares")
    assert plan is not None
    own = np.sqrt(1 - plan.loyalty**2) * rng.standard_normal(block.n)
    drawn = betaincinv(plan.a, plan.b, ndtr(plan.loyalty * block.people.attitudes["loyalty"] + own))
    return np.maximum(drawn, LEAST_SHARE)


def in_panel(block: "Block") -> np.ndarray:
    """Who reports all purchases."""
    plan = block.scenario.wallet
    assert plan is not None
    return block.rng("panel").random(block.n) < plan.panel


def rival_purchases_table(block: "Block") -> Columns:
    """What the panel bought at rivals, from acquisition to the end."""
    plan, rng, rates = block.scenario.wallet, block.rng("rivals"), block.rates
    assert plan is not None
    panel = np.flatnonzero(in_panel(block))
    share = shares(block)[panel]
    start, left = block.people.acquired[panel], np.minimum(block.history.left[panel], block.days)
    season = season_by_day(block.firm)
    need = rates.weekly[panel] / WEEK / share * season.max()
    during, after = need * (1 - share) * (left - start), need * (block.days - left)
    bought = np.concatenate([counts(rng, one, "wallet (with the buying rates)") for one in (during, after)])
    who = np.repeat(np.tile(np.arange(len(panel)), 2), bought)
    low, high = np.concatenate([start, left]), np.concatenate([left, np.full(len(panel), block.days)])
    time = np.repeat(low, bought) + rng.random(len(who)) * np.repeat(high - low, bought)
    kept = rng.random(len(time)) * season.max() < season[time.astype("int64")]
    who, time = who[kept], time[kept]
    spend = block.scenario.spend
    assert spend is not None
    amount = rng.gamma(spend.p, 1 / spend.p, len(who)) * rates.value[panel[who]]
    weights = 1 / np.arange(1, len(plan.rivals) + 1)
    rival = rng.choice(len(weights), len(who), p=weights / weights.sum())
    order = np.lexsort((time, who))
    return {
        "customer_id": block.ids[panel[who[order]]],
        "date": dates(time[order]),
        "rival": category(rival[order], plan.rivals),
        "amount": np.maximum(np.round(amount[order], 2), 0.01),
    }


def true_wallet_table(block: "Block") -> Columns:
    """True share, and the money a week that the whole wallet holds while the customer is one."""
    share = shares(block)
    return {
        "customer_id": block.ids,
        "share": share,
        "in_panel": in_panel(block),
        "weekly_wallet": block.rates.weekly * block.rates.value / share,
    }
