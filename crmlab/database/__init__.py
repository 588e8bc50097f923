"""The customer database: store and refresh it, summarise its customers, and segment them.

* `CustomerDB` keeps customers, orders, lines, products, campaigns, contacts and responses.
* `customer_summary` holds the one definition of frequency, recency, T and monetary value; `cohort_table` follows
  acquisition cohorts.
* `rfm`, `abc_classes`, `kmeans_segments` segment; `segment_stability` and `explained_share` say what it is worth.
* `gains`, `calibration` judge a model of response, `profit_curve`, `value_of_limit` turn it into letters and money, and
  `roll_out` decides from a test of cells.
* `baskets` lays orders out as item sets; `association_rules` and `pairs_within` say what goes together,
  `next_products` what to offer next, `hit_rates` whether it came true, `basket_trend` how baskets grow.
* Figures are in `crmlab.database.plots` and `crmlab.database.response_plots`.
"""

from crmlab.database.basket import Baskets, ItemSets, baskets, estimate_itemsets, frequent_itemsets
from crmlab.database.basket_next import BasketTrend, HitRates, NextProducts, basket_trend, hit_rates, next_products
from crmlab.database.basket_rules import (
    PairTable,
    Rules,
    association_rules,
    pairs_within,
    rule_measures,
    shuffle_baskets,
)
from crmlab.database.clusters import (
    Segments,
    SegmentStability,
    explained_share,
    kmeans_segments,
    segment_stability,
)
from crmlab.database.cohorts import CohortTable, cohort_table
from crmlab.database.loading import LoadReport
from crmlab.database.mailing import (
    DepthUncertainty,
    LimitValue,
    ProfitCurve,
    break_even_rate,
    depth_uncertainty,
    mailing_profit,
    profit_curve,
    value_of_limit,
)
from crmlab.database.purchases import new_customers
from crmlab.database.reliability import Calibration, calibration
from crmlab.database.response import Gains, gains
from crmlab.database.rollout import RollOut, roll_out
from crmlab.database.segments import ABC, RFM, abc_classes, rfm
from crmlab.database.store import CustomerDB
from crmlab.database.summary import CustomerSummary, customer_summary
from crmlab.database.views import Customer360

__all__ = [
    "ABC",
    "RFM",
    "BasketTrend",
    "Baskets",
    "Calibration",
    "CohortTable",
    "Customer360",
    "CustomerDB",
    "CustomerSummary",
    "DepthUncertainty",
    "Gains",
    "HitRates",
    "ItemSets",
    "LimitValue",
    "LoadReport",
    "NextProducts",
    "PairTable",
    "ProfitCurve",
    "RollOut",
    "Rules",
    "SegmentStability",
    "Segments",
    "abc_classes",
    "association_rules",
    "basket_trend",
    "baskets",
    "break_even_rate",
    "calibration",
    "cohort_table",
    "customer_summary",
    "depth_uncertainty",
    "estimate_itemsets",
    "explained_share",
    "frequent_itemsets",
    "gains",
    "hit_rates",
    "kmeans_segments",
    "mailing_profit",
    "new_customers",
    "next_products",
    "pairs_within",
    "profit_curve",
    "rfm",
    "roll_out",
    "rule_measures",
    "segment_stability",
    "shuffle_baskets",
    "value_of_limit",
]
