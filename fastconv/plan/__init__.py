"""Choosing an algorithm: settings, the printable plan, and the planner that makes it."""

from fastconv.plan.plan import Plan
from fastconv.plan.planner import plan_for
from fastconv.plan.settings import Settings, configure, current_settings, settings

__all__ = ["Plan", "Settings", "configure", "current_settings", "plan_for", "settings"]
