"""What customers are worth, and whether it was raised: lifetime value."""

from crmlab.metrics.ltv import customer_lifetime_value
from crmlab.metrics.ltv_tables import ltv_table, margin_multiple, payback_period

__all__ = ["customer_lifetime_value", "ltv_table", "margin_multiple", "payback_period"]
