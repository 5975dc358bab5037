"""Exploration and step-size schedules."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rldf_agents.errors import AgentError
from rldf_agents.learners.saved_file import decode, encode
from rldf_agents.schedules import (
    ConstantEpsilon,
    ConstantStepSize,
    LinearEpsilon,
    VisitCountStepSize,
)

probabilities = st.floats(0.0, 1.0)


def test_constant_epsilon_does_not_change():
    assert ConstantEpsilon(0.1)(0) == ConstantEpsilon(0.1)(10**9) == 0.1


def test_linear_epsilon_reaches_its_end_after_its_steps_and_stays():
    epsilon = LinearEpsilon(start=1.0, end=0.1, steps=100)
    assert epsilon(0) == 1.0
    assert epsilon(50) == pytest.approx(0.55)
    assert epsilon(100) == epsilon(1000) == 0.1


@given(probabilities, probabilities, st.integers(1, 10**6), st.integers(0, 10**9))
def test_every_epsilon_is_a_probability_at_every_step(start, end, steps, timestep):
    assert 0.0 <= LinearEpsilon(start, end, steps)(timestep) <= 1.0


def test_visit_count_step_size_is_one_over_the_visits_to_the_power_omega():
    assert VisitCountStepSize(1.0)(4) == 0.25
    assert VisitCountStepSize(0.75)(16) == pytest.approx(0.125)
    assert VisitCountStepSize(0.6)(1) == 1.0


@given(st.floats(0.5, 1.0, exclude_min=True), st.integers(1, 10**9))
def test_visit_count_step_size_lies_in_its_range(omega, visits):
    assert 0.0 < VisitCountStepSize(omega)(visits) <= 1.0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ConstantEpsilon(-0.1), r"epsilon is -0\.1"),
        (lambda: LinearEpsilon(1.5, 0.0, 10), r"epsilon at the start is 1\.5"),
        (lambda: LinearEpsilon(1.0, 0.0, 0), "schedule is 0"),
        (lambda: LinearEpsilon(1.0, -1.0, 5), r"epsilon at the end is -1\.0"),
        (lambda: ConstantStepSize(0.0), r"alpha is 0\.0"),
        (lambda: ConstantStepSize(float("nan")), "alpha is nan"),
        (lambda: VisitCountStepSize(0.5), r"omega is 0\.5"),
    ],
)
def test_a_setting_out_of_range_is_rejected_by_name_and_value(make, message):
    with pytest.raises(AgentError, match=message):
        make()


@pytest.mark.parametrize(
    "schedule",
    [
        ConstantEpsilon(0.2),
        LinearEpsilon(1.0, 0.0, 9),
        ConstantStepSize(0.3),
        VisitCountStepSize(0.7),
    ],
)
def test_a_saved_schedule_comes_back_equal(schedule):
    assert decode(encode(schedule)) == schedule


def test_a_saved_schedule_of_another_version_is_rejected():
    with pytest.raises(AgentError, match=r"CosineEpsilon .*is unknown to this version"):
        decode({"object": "CosineEpsilon", "start": 1.0})


def test_a_schedule_of_the_users_own_cannot_be_saved():
    with pytest.raises(AgentError, match="cannot be saved"):
        encode(lambda timestep: 0.1)
