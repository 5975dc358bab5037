"""Exact answers for small worlds: optimal action values, and what a policy is worth.

A finite Markov decision process is read from an environment once; value iteration and policy
evaluation (Sutton & Barto ch. 4) then need no sampling. They are what benchmarks compare with.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rldf_agents.learners.space_index import SpaceIndex
from rldf_agents.protocols import DiscreteValue, Learner, SingleEnvironment

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class DecisionProcess:
    """A finite Markov decision process.

    Attributes:
        rewards: expected reward of each action, float64 ``[n_states, n_actions]``.
        continuing: probability of each next state and that the episode continues there, float64
            ``[n_states, n_actions, n_states]``; what is missing to 1 is the chance to terminate.
        starts: probability of each starting state, float64 ``[n_states]``.
    """

    rewards: Floats
    continuing: Floats
    starts: Floats


def from_transition_table(env: SingleEnvironment) -> DecisionProcess:
    """Read the table ``P`` that Gymnasium's toy-text environments publish."""
    table = env.get_wrapper_attr("P")
    starts = np.asarray(env.get_wrapper_attr("initial_state_distrib"), dtype=np.float64)
    rewards = np.zeros((len(table), len(table[0])))
    continuing = np.zeros((*rewards.shape, len(table)))
    for state, actions in table.items():
        for action, outcomes in actions.items():
            for probability, next_state, reward, terminated in outcomes:
                rewards[state, action] += probability * reward
                if not terminated:
                    continuing[state, action, next_state] += probability
    return DecisionProcess(rewards, continuing, starts)


def from_deterministic_env(env: SingleEnvironment, terminal: DiscreteValue) -> DecisionProcess:
    """Take every action once in every state of a deterministic environment.

    Args:
        env: resets to ``options={"state": state}``; its spaces are Discrete or MultiDiscrete.
        terminal: the state that ends every episode; nothing is ever gained there.

    Returns:
        States and joint actions in C order; starts are uniform over all but the terminal state.
    """
    states, actions = (
        SpaceIndex(env.observation_space, "state"),
        SpaceIndex(env.action_space, "action"),
    )
    rewards = np.zeros((states.size, actions.size))
    continuing = np.zeros((*rewards.shape, states.size))
    starts = np.ones(states.size)
    starts[states.index(terminal)] = 0.0
    for state in np.flatnonzero(starts).tolist():
        for action in range(actions.size):
            env.reset(options={"state": states.value(state)})
            observation, reward, terminated, _, _ = env.step(actions.value(action))
            rewards[state, action] = float(reward)
            if not terminated:
                continuing[state, action, states.index(observation)] = 1.0
    return DecisionProcess(rewards, continuing, starts / starts.sum())


def optimal_action_values(
    process: DecisionProcess, gamma: float, tolerance: float = 1e-14
) -> Floats:
    """Return Q*, float64 ``[n_states, n_actions]``, by value iteration (Sutton & Barto §4.4).

    Args:
        process: with ``gamma`` 1, one in which no reward can be collected for ever.
        gamma: discount, in [0, 1].
        tolerance: iteration ends when no value changes by more.
    """
    values = np.zeros_like(process.rewards)
    change = np.inf
    while change > tolerance:
        following = process.rewards + gamma * process.continuing @ values.max(axis=1)
        change = float(np.abs(following - values).max())
        values = following
    return values


def optimal_return(process: DecisionProcess) -> float:
    """Return the highest expected sum of rewards of an episode without a time limit."""
    return float(process.starts @ optimal_action_values(process, gamma=1.0).max(axis=1))


def expected_return(
    process: DecisionProcess, policy: npt.NDArray[np.int64], horizon: int = 10_000
) -> float:
    """Return the expected sum of rewards of an episode under a policy.

    Args:
        process: the world.
        policy: the action of each state, int64 ``[n_states]``.
        horizon: longest episode; a policy that goes round in circles collects rewards up to it.
    """
    states = np.arange(len(policy))
    rewards, continuing = process.rewards[states, policy], process.continuing[states, policy]
    total, here = 0.0, process.starts
    for _ in range(horizon):
        total += float(here @ rewards)
        here = here @ continuing
        if here.sum() < 1e-15:
            break
    return total


def greedy_policy(env: SingleEnvironment, learner: Learner) -> npt.NDArray[np.int64]:
    """Return the greedy action of each state, int64 ``[n_states]``, in C order."""
    states, actions = (
        SpaceIndex(env.observation_space, "state"),
        SpaceIndex(env.action_space, "action"),
    )
    chosen = (learner.predict(states.value(s), deterministic=True)[0] for s in range(states.size))
    return np.array([actions.index(action) for action in chosen], dtype=np.int64)
