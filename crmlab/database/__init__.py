"""The customer database: store and refresh it, summarise its customers, and segment them.

* `CustomerDB` keeps customers, orders, lines, products, campaigns, contacts and responses.
* `customer_summary` holds the one definition of frequency, recency, T and monetary value; `cohort_table` follows
  acquisition cohorts.
* `rfm`, `abc_classes`, `kmeans_segments` segment; `segment_stability` and `explained_share` say what it is worth.
* `gains`, `calibration` judge a model of response, `profit_curve`, `value_of_limit` turn it into letters and money, and
  `roll_out` decides from a test of cells.
* `baskets` lays orders out as item sets; `association_rules` and `pairs_within` say what goes together,
  `next_products` what to offer next, `hit_rates` whether it came true, `basket_trend` how baskets grow.
* `plan_test`, `balance` design a campaign with a control group, `read_out`, `incremental_profit` say what it caused;
  `fit_uplift` learns whom it changes, `uplift_curve`, `qini_curve`, `policy_value` what such a rule is worth.
  (The results of the functions for responses and campaigns are classes of the modules that make them.)
* Figures are in `crmlab.database.plots`, `crmlab.database.response_plots` and `crmlab.database.campaign_plots`.
"""

from crmlab.database.basket import Baskets, baskets
from crmlab.database.basket_next import basket_trend, hit_rates, next_products
from crmlab.database.basket_rules import association_rules, pairs_within, rule_measures, shuffle_baskets
from crmlab.database.basket_sets import estimate_itemsets, frequent_itemsets
from crmlab.database.campaign import incremental_profit, read_arms, read_out
from crmlab.database.campaign_design import balance, plan_test, sample_ratio_p_value
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
    break_even_rate,
    depth_uncertainty,
    mailing_profit,
    profit_curve,
    value_of_limit,
)
from crmlab.database.policy import (
    best_depth,
    policy_value,
    qini_curve,
    response_group_bounds,
    uplift_curve,
)
from crmlab.database.purchases import new_customers
from crmlab.database.reliability import calibration
from crmlab.database.response import gains
from crmlab.database.rollout import roll_out
from crmlab.database.segments import ABC, RFM, abc_classes, rfm
from crmlab.database.store import CustomerDB
from crmlab.database.summary import CustomerSummary, customer_summary
from crmlab.database.uplift import cross_fit_uplift, fit_uplift
from crmlab.database.views import Customer360

__all__ = [
    "ABC",
    "RFM",
    "Baskets",
    "CohortTable",
    "Customer360",
    "CustomerDB",
    "CustomerSummary",
    "LoadReport",
    "SegmentStability",
    "Segments",
    "abc_classes",
    "association_rules",
    "balance",
    "basket_trend",
    "baskets",
    "best_depth",
    "break_even_rate",
    "calibration",
    "cohort_table",
    "cross_fit_uplift",
    "customer_summary",
    "depth_uncertainty",
    "estimate_itemsets",
    "explained_share",
    "fit_uplift",
    "frequent_itemsets",
    "gains",
    "hit_rates",
    "incremental_profit",
    "kmeans_segments",
    "mailing_profit",
    "new_customers",
    "next_products",
    "pairs_within",
    "plan_test",
    "policy_value",
    "profit_curve",
    "qini_curve",
    "read_arms",
    "read_out",
    "response_group_bounds",
    "rfm",
    "roll_out",
    "rule_measures",
    "sample_ratio_p_value",
    "segment_stability",
    "shuffle_baskets",
    "uplift_curve",
    "value_of_limit",
]
