"""How fast tabular Q-learning steps and learns: the stored base world, against the textbook.

The peer is what a tutorial writes: a dict of action values keyed by the observation, epsilon-greedy
by argmax, one environment. Forms take turns, so that a change of the machine's load meets all of
them; each runs in one thread, and its processor time is what other load disturbs least.
"""

import functools
import itertools
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from benchmarks.results import Case, Report, Results, measure
from benchmarks.stored_world import stored_env
from rldf_agents import QLearning
from rldf_agents.protocols import SingleEnvironment, VectorEnvironment
from rldf_gym.store import default_path

GAMMA, EPSILON, ALPHA, INITIAL_VALUE = 0.9, 0.1, 0.5, 20.0
WARM_UP_STEPS = 1_000
NUM_ENVS = (16, 64, 256)
TEXTBOOK = "textbook, one environment"
ENV_ALONE = "no learner, one environment"


class TextbookQLearning:
    """Q-learning as tutorials write it, on joint actions 0..n_actions-1."""

    def __init__(self, n_actions: int, seed: int) -> None:
        self.q_values: defaultdict[tuple[int, ...], npt.NDArray[np.float64]] = defaultdict(
            lambda: np.full(n_actions, INITIAL_VALUE)
        )
        self.n_actions = n_actions
        self.random = np.random.default_rng(seed)

    def get_action(self, observation: tuple[int, ...]) -> int:
        """Explore with probability epsilon, else take the first of the best actions."""
        if self.random.random() < EPSILON:
            return int(self.random.integers(self.n_actions))
        return int(np.argmax(self.q_values[observation]))

    def update(
        self,
        observation: tuple[int, ...],
        action: int,
        reward: float,
        terminated: bool,
        next_observation: tuple[int, ...],
    ) -> None:
        """Move Q(s, a) towards the reward and the best value of the next state."""
        future = 0.0 if terminated else np.max(self.q_values[next_observation])
        error = reward + GAMMA * future - self.q_values[observation][action]
        self.q_values[observation][action] += ALPHA * error


def learn_by_the_textbook(env: SingleEnvironment, steps: int, seed: int) -> None:
    """Take so many steps, and reset whenever an episode ends."""
    actions = _joint_actions(env)
    agent = TextbookQLearning(len(actions), seed)
    observation = tuple(env.reset(seed=seed)[0].tolist())
    for _ in range(steps):
        action = agent.get_action(observation)
        following, reward, terminated, truncated, _ = env.step(actions[action])
        next_observation = tuple(following.tolist())
        agent.update(observation, action, float(reward), terminated, next_observation)
        observation = next_observation
        if terminated or truncated:
            observation = tuple(env.reset()[0].tolist())


def learn(env: SingleEnvironment | VectorEnvironment, steps: int, seed: int) -> None:
    """Train our Q-learning with the same settings."""
    vectorised = isinstance(env, gym.vector.VectorEnv)
    learner = QLearning(
        env.single_observation_space if vectorised else env.observation_space,
        env.single_action_space if vectorised else env.action_space,
        gamma=GAMMA,
        epsilon=EPSILON,
        step_size=ALPHA,
        initial_value=INITIAL_VALUE,
    )
    learner.learn(env, steps, seed)


def step_only(env: SingleEnvironment, steps: int, seed: int) -> None:
    """Take random steps, chosen beforehand, and learn nothing."""
    actions = _joint_actions(env)
    drawn = np.random.default_rng(seed).integers(len(actions), size=steps).tolist()
    env.reset(seed=seed)
    for action in drawn:
        _, _, terminated, truncated, _ = env.step(actions[action])
        if terminated or truncated:
            env.reset()


def step_vector_only(env: VectorEnvironment, steps: int, seed: int) -> None:
    """Take random steps in all sub-environments and learn nothing."""
    env.action_space.seed(seed)
    drawn = [env.action_space.sample() for _ in range(steps // env.num_envs)]
    env.reset(seed=seed)
    for actions in drawn:
        env.step(actions)


def run(quick: bool) -> Results:
    """Time every form, one after the other, round after round."""
    rounds, steps = (3, 10_000) if quick else (11, 100_000)
    cases = [
        {"round": number, "form": form}
        for number, form in itertools.product(range(rounds), _forms())
    ]
    settings = {
        "rounds": rounds,
        "steps": steps,
        "gamma": GAMMA,
        "epsilon": EPSILON,
        "alpha": ALPHA,
        "initial_value": INITIAL_VALUE,
    }
    timed = functools.partial(_time, steps)
    return measure("update_loop", settings, cases, timed, quick=quick)


def _joint_actions(env: SingleEnvironment) -> list[npt.NDArray[np.int64]]:
    sizes = [range(size) for size in env.action_space.nvec.tolist()]
    return [np.array(parts) for parts in itertools.product(*sizes)]


def _forms() -> dict[str, tuple[Callable[..., None], int | None]]:
    """What is timed, and the number of sub-environments it is given."""
    vector = {f"QLearning, {n} sub-environments": (learn, n) for n in NUM_ENVS}
    alone = {f"no learner, {n} sub-environments": (step_vector_only, n) for n in NUM_ENVS}
    return {
        TEXTBOOK: (learn_by_the_textbook, None),
        "QLearning, one environment": (learn, None),
        **vector,
        ENV_ALONE: (step_only, None),
        **alone,
    }


@functools.cache
def _env(num_envs: int | None) -> Any:
    single = stored_env()
    return single if num_envs is None else gym.make_vec("RLDF-v0", num_envs, store=default_path())


def _time(steps: int, case: Case) -> dict[str, float]:
    take_steps, num_envs = _forms()[case["form"]]
    env = _env(num_envs)
    take_steps(env, WARM_UP_STEPS, seed=case["round"] + 1_000)
    wall, processor = time.perf_counter(), time.process_time()
    take_steps(env, steps, seed=case["round"])
    return {
        "wall_seconds": time.perf_counter() - wall,
        "processor_seconds": time.process_time() - processor,
    }


def report(results: Results) -> Report:
    """Tabulate medians over the rounds, and the speed relative to the textbook."""
    steps, rounds = results.settings["steps"], results.settings["rounds"]
    lines = [
        "# The speed of learning",
        "",
        "Tabular Q-learning on the stored base world (480 states, 8 actions, `gym.make` and "
        f"`gym.make_vec` with their defaults). Median of {rounds} rounds of {steps:,} environment "
        "steps each, every sub-environment's step counted. The textbook is the dict-based "
        "Q-learning of `benchmarks/update_loop.py`; ratios are taken within each round, of "
        "processor time; the least and the greatest are in brackets.",
        "",
        "| | µs a step, processor | µs a step, wall clock | steps/s, processor "
        "| times the textbook's speed |",
        "|---|---:|---:|---:|---:|",
    ]
    textbook = _seconds(results, TEXTBOOK, "processor")
    for form in _forms():
        processor, wall = (_seconds(results, form, clock) for clock in ("processor", "wall"))
        ratios = textbook / processor
        cost = float(np.median(processor)) / steps
        lines.append(
            f"| {form} | {1e6 * cost:.2f} | {1e6 * float(np.median(wall)) / steps:.2f} "
            f"| {1 / cost:,.0f} | {np.median(ratios):.2f} ({ratios.min():.2f} to "
            f"{ratios.max():.2f}) |"
        )
    lines += [
        "",
        "Ours counts the updates of every value, breaks ties at random, rejects observations "
        "outside the space and can be resumed at any step; the textbook does none of this.",
    ]
    return Report("\n".join(lines))


def _seconds(results: Results, form: str, clock: str) -> npt.NDArray[np.float64]:
    """Seconds of one form in each round."""
    return np.array([row[f"{clock}_seconds"] for row in results.rows if row["form"] == form])
