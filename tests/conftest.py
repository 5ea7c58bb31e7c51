"""Hypothesis profiles, and fixtures for every test."""

import os

import hypothesis
import pytest

import fastconv
from fastconv.ops import repeated

hypothesis.settings.register_profile("default", deadline=None, max_examples=80)
hypothesis.settings.register_profile("ci", deadline=None, max_examples=80, derandomize=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "default")


@pytest.fixture(autouse=True)
def _settings_are_left_alone():
    """Fail a test that changes the process's settings and does not change them back."""
    before = fastconv.plan.current_settings()
    repeated.forget()  # what another test put in the way of plans or threads is not kept
    yield
    after = fastconv.plan.current_settings()
    if after != before:
        fastconv.configure(**{name: getattr(before, name) for name in vars(before)})
    assert after == before


@pytest.fixture
def plans(monkeypatch):
    """The plans that run during a test, in order."""
    ran = []
    run = fastconv.Plan.run

    def recorded(plan, *args, **kwargs):
        ran.append(plan)
        return run(plan, *args, **kwargs)

    monkeypatch.setattr(fastconv.Plan, "run", recorded)
    return ran
