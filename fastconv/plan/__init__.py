"""Choosing an algorithm: settings, the printable plan, and the planner that makes it."""

from fastconv.plan.plan import Plan
from fastconv.plan.planner import forget_plans, plan_for, tuned_plan, when_plans_change
from fastconv.plan.settings import Settings, configure, current_settings, settings

__all__ = [
    "Plan",
    "Settings",
    "configure",
    "current_settings",
    "forget_plans",
    "plan_for",
    "settings",
    "tuned_plan",
    "when_plans_change",
]
