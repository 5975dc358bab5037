"""The columns of the paper's Table 3."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from semantic_gridworld import SemanticGridworld

from rldf_agents import AgentError, RandomAgent, train
from rldf_agents.statistics import StatisticsRecorder, StepRecord, run_statistics


def record(distance, *, episode=0, fine=0.0, coarse=0.0, pictures=1):
    return StepRecord(
        episode=episode,
        distance=distance,
        fine=fine,
        coarse=coarse,
        at_goal=distance == 0,
        generations=pictures,
        states_seen=pictures + 100,
    )


def test_distances_are_summarised_by_last_greatest_least_deviation_and_variance():
    statistics = run_statistics([record(d) for d in (4.0, 2.0, 8.0, 6.0)])
    assert statistics.steps == 4
    assert statistics.final_distance == 6.0
    assert statistics.max_distance == 8.0
    assert statistics.min_distance == 2.0
    assert statistics.distance_variance == 5.0
    assert statistics.distance_deviation == pytest.approx(5.0**0.5)


def test_gains_are_summed():
    statistics = run_statistics(
        [record(3, fine=2.0, coarse=-1.0), record(2, fine=3.0, coarse=1.0), record(1, coarse=1.0)]
    )
    assert (statistics.fine, statistics.coarse) == (5.0, 1.0)


def test_staying_at_the_goal_counts_as_one_arrival():
    assert run_statistics([record(d) for d in (1, 0, 0, 1, 0)]).times_reached == 2


def test_arriving_in_the_first_step_of_the_next_episode_counts_again():
    assert run_statistics([record(0, episode=0), record(0, episode=1)]).times_reached == 2


def test_arrivals_are_distinguished_where_sub_environments_take_turns():
    away, there = 1, 0
    steps = [(0, away), (1, there), (0, there), (1, there), (0, away), (1, away), (0, there)]
    records = [record(float(distance), episode=episode) for episode, distance in steps]
    assert run_statistics(records).times_reached == 3


def test_the_cost_of_the_first_arrival_is_read_at_that_step():
    statistics = run_statistics(
        [record(1, pictures=5), record(0, pictures=7), record(0, episode=1, pictures=9)]
    )
    assert statistics.steps_to_goal == 2
    assert statistics.generations_to_goal == 7
    assert statistics.states_to_goal == 107


def test_a_goal_never_reached_has_no_cost():
    statistics = run_statistics([record(3), record(2)])
    assert statistics.times_reached == 0
    assert statistics.steps_to_goal is None
    assert statistics.generations_to_goal is None
    assert statistics.states_to_goal is None


@given(st.lists(st.integers(0, 50), min_size=1))
def test_least_final_and_greatest_distance_are_ordered(distances):
    statistics = run_statistics([record(float(d)) for d in distances])
    assert statistics.min_distance <= statistics.final_distance <= statistics.max_distance
    assert statistics.distance_deviation**2 == pytest.approx(statistics.distance_variance)


def test_a_run_without_steps_has_no_statistics():
    with pytest.raises(AgentError, match="without steps"):
        run_statistics([])


def test_the_recorder_receives_every_step_of_a_run():
    env = SemanticGridworld(goal=(0, 4, 1, 3))
    recorder = StatisticsRecorder()
    agent = RandomAgent(env.observation_space, env.action_space)
    train(agent, env, 50, seed=0, callbacks=[recorder])
    statistics = recorder.statistics()
    assert statistics.steps == len(recorder.records) == 50
    assert 0 <= statistics.min_distance <= statistics.max_distance <= 1 + 9 + 2 + 7


def test_an_environment_without_the_search_figures_is_rejected_by_their_names():
    class Bare(SemanticGridworld):
        def step(self, action):
            observation, reward, terminated, truncated, info = super().step(action)
            del info["distance"], info["states_seen"]
            return observation, reward, terminated, truncated, info

    env = Bare(goal=(0, 4, 1, 3))
    agent = RandomAgent(env.observation_space, env.action_space)
    with pytest.raises(AgentError, match="lacks distance, states_seen"):
        train(agent, env, 1, seed=0, callbacks=[StatisticsRecorder()])
