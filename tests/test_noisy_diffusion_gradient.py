"""The noisy diffusion gradient: what it measures, where it goes, and where it fails."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from semantic_gridworld import SemanticGridworld, random_goals
from stripped_env import StrippedEnv

from rldf_agents import AgentError, NoisyDiffusionGradient, train
from rldf_agents.learners.displacements import Displacements
from rldf_agents.protocols import Transition

SIZES = (7, 5)


class Landscape(gym.Env):
    """A grid with any feedback, walked from a given start in one of three ways; it never ends.

    Action modes: "axis", which axis and which way; "flat", the same as one number; "joint", back,
    stay or forth on every axis at once.
    """

    def __init__(self, feedback, start, mode="axis"):
        self.observation_space = spaces.MultiDiscrete(SIZES)
        self.action_space = {
            "axis": spaces.MultiDiscrete([len(SIZES), 2]),
            "flat": spaces.Discrete(2 * len(SIZES)),
            "joint": spaces.MultiDiscrete([3] * len(SIZES)),
        }[mode]
        self._feedback, self._start, self._mode = feedback, start, mode

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.state = np.array(self._start)
        return self.state.copy(), {}

    def step(self, action):
        change = np.zeros(len(SIZES), dtype=int)
        if self._mode == "joint":
            change = np.array(action) - 1
        else:
            axis, way = divmod(int(action), 2) if self._mode == "flat" else action
            change[axis] = 2 * way - 1
        self.state = np.clip(self.state + change, 0, np.array(SIZES) - 1)
        return self.state.copy(), float(self._feedback(*self.state)), False, False, {}


class Line(gym.Env):
    """One Discrete label from 3 to 11; action 0 moves up, action 1 down."""

    observation_space, action_space = spaces.Discrete(9, start=3), spaces.Discrete(2)

    def __init__(self, start=4, units=1):
        self._start, self._units = start, units

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.state = self._start
        return np.int64(self.state), {}

    def step(self, action):
        self.state = int(np.clip(self.state + (-self._units if action else self._units), 3, 11))
        return np.int64(self.state), -float((self.state - 9) ** 2), False, False, {}


class Visits:
    """A callback that keeps the observations in order."""

    def __init__(self):
        self.observations = []

    def on_training_start(self, learner, env, total_timesteps): ...

    def on_step(self, step):
        self.observations.append(tuple(np.ravel(step.transition.next_observation).tolist()))

    def on_episode_end(self, episode): ...

    def on_training_end(self): ...


def bowl(x, y):
    return -((x - 4) ** 2) - 2 * (y - 2) ** 2


def taught(env, **settings):
    """A learner that knows what the four moves of mode "axis" do."""
    agent = NoisyDiffusionGradient(env.observation_space, env.action_space, **settings)
    for axis, way in ((0, 0), (0, 1), (1, 0), (1, 1)):
        there = np.array([3, 2])
        there[axis] += 2 * way - 1
        action = np.array([axis, way])
        agent.update(Transition(np.array([3, 2]), action, 0.0, there, False, False))
    return agent


def walk(agent, env, steps):
    visits = Visits()
    train(agent, env, steps, seed=0, callbacks=[visits])
    return visits.observations


PROBES = [
    *[(2, 1), (1, 1), (0, 1), (1, 1)],
    *[(1, 2), (1, 1), (1, 0), (1, 1)],
]
"""Around (1, 1): one unit along every axis, up and down, and back each time."""


class TestTheGradient:
    def test_it_is_half_the_difference_of_the_feedback_on_both_sides(self):
        env = Landscape(lambda x, y: x**2 * (y + 1), start=(1, 1))
        agent = taught(env)
        walk(agent, env, 8)
        # (f(2, 1) - f(0, 1)) / 2 = (8 - 0) / 2 and (f(1, 2) - f(1, 0)) / 2 = (3 - 1) / 2
        assert agent.gradient(np.array([1, 1])).tolist() == [4.0, 1.0]

    def test_it_is_one_sided_at_the_end_of_an_axis(self):
        env = Landscape(lambda x, y: x**2 - 5 * y, start=(6, 0))
        agent = taught(env)
        walk(agent, env, 4)
        # f(6, 0) - f(5, 0) = 36 - 25 and f(6, 1) - f(6, 0) = -5
        assert agent.gradient(np.array([6, 0])).tolist() == [11.0, -5.0]

    def test_it_is_zero_where_nothing_was_measured(self):
        agent = NoisyDiffusionGradient(spaces.MultiDiscrete(SIZES), spaces.Discrete(4))
        assert agent.gradient(np.array([3, 3])).tolist() == [0.0, 0.0]

    def test_a_probe_goes_there_and_back_along_every_axis_both_ways(self):
        env = Landscape(bowl, start=(1, 1))
        assert walk(taught(env), env, 8) == PROBES

    def test_what_was_measured_is_not_measured_again(self):
        env = Landscape(lambda x, y: x, start=(5, 3))
        visits = walk(taught(env), env, 13)
        # At (6, 3), where the ascent leads, the only neighbour along the first axis is known.
        assert visits[8:] == [(6, 3), (6, 4), (6, 3), (6, 2), (6, 3)]


class TestTheAscent:
    def test_it_takes_the_steepest_axis_first_and_the_others_in_proportion(self):
        env = Landscape(lambda x, y: 10 * y + 6 * x, start=(1, 1))
        assert walk(taught(env, stride=2), env, 11)[8:] == [(1, 2), (1, 3), (2, 3)]

    def test_it_goes_down_an_axis_where_that_is_up_the_feedback(self):
        env = Landscape(lambda x, y: -y, start=(1, 1))
        assert walk(taught(env), env, 9)[8:] == [(1, 0)]

    def test_differences_within_the_noise_are_not_followed(self):
        env = Landscape(lambda x, y: 10 * y + 6 * x, start=(1, 1))
        assert walk(taught(env, stride=2, noise=7.0), env, 10)[8:] == [(1, 2), (1, 3)]

    @pytest.mark.parametrize("mode", ["axis", "flat", "joint"])
    def test_it_climbs_a_bowl_whatever_the_actions_are(self, mode):
        env = Landscape(bowl, start=(0, 4), mode=mode)
        agent = NoisyDiffusionGradient(env.observation_space, env.action_space, perturbation=0)
        visits = walk(agent, env, 150)
        assert (4, 2) in visits
        assert agent.divergences == 0
        assert set(visits[-20:]) <= {(4, 2), (5, 2), (3, 2), (4, 3), (4, 1)}

    def test_a_discrete_observation_is_one_axis(self):
        env = Line()
        agent = NoisyDiffusionGradient(env.observation_space, env.action_space, perturbation=0)
        assert (9,) in walk(agent, env, 60)
        # (f(6) - f(4)) / 2 = (-9 + 25) / 2
        assert agent.gradient(5).tolist() == [8.0]

    def test_every_sub_environment_has_its_own_probe_under_way(self):
        starts = [(1, 1), (5, 3)]
        envs = [Landscape(bowl, start) for start in starts]
        agent = taught(envs[0])
        agent.start_run(seed=0)
        here, visits = [env.reset()[0] for env in envs], [[], []]
        for _ in range(8):
            for number, env in enumerate(envs):
                action = agent.select_action(here[number], number)
                there, reward, *ends, _ = env.step(action)
                agent.update(Transition(here[number], action, reward, there, *ends), number)
                here[number] = there
                visits[number].append(tuple(there.tolist()))
        assert visits[0] == PROBES
        assert visits[1] == [(x + 4, y + 2) for x, y in PROBES]

    def test_a_new_episode_begins_with_a_new_probe(self):
        env = gym.wrappers.TimeLimit(Landscape(bowl, start=(1, 1)), max_episode_steps=5)
        visits = walk(taught(env), env, 9)
        # Where the episode stopped, (1, 0) was left to probe.
        assert visits[:7] == [*PROBES[:5], (1, 0), (1, 1)]


class TestFailures:
    def test_a_plateau_is_counted_and_with_no_perturbation_measured_again(self):
        env = Landscape(lambda x, y: 1, start=(1, 1))
        agent = taught(env, perturbation=0)
        assert walk(agent, env, 17) == [*PROBES, *PROBES, PROBES[0]]
        assert agent.plateaus == 2

    def test_a_plateau_is_left_by_a_random_walk_of_the_size_that_was_set(self):
        env = Landscape(lambda x, y: 1, start=(1, 1))
        ends = []
        for seed in range(20):
            agent, visits = taught(env, perturbation=3), Visits()
            train(agent, env, 11, seed=seed, callbacks=[visits])
            assert agent.plateaus == 1
            ends.append(visits.observations[10])
        assert len(set(ends)) > 3
        assert {(x + y) % 2 for x, y in ends} == {1}

    def test_the_top_is_a_plateau_too(self):
        env = Landscape(lambda x, y: float((x, y) == (1, 1)), start=(1, 1))
        agent = taught(env, perturbation=0)
        walk(agent, env, 9)
        assert agent.plateaus == 1
        assert agent.divergences == 0

    def test_an_ascent_that_ends_lower_than_it_began_is_counted_as_a_divergence(self):
        # At its maximum the sides differ: the gradient leads off it.
        env = Landscape(lambda x, y: (0, 5, 1, 0, 0, 0, 0)[x], start=(1, 1))
        agent = taught(env, perturbation=0)
        assert walk(agent, env, 9)[8] == (2, 1)
        assert agent.divergences == 1
        assert agent.plateaus == 0

    def test_a_new_run_counts_from_zero(self):
        env = Landscape(lambda x, y: 1, start=(1, 1))
        agent = taught(env)
        walk(agent, env, 9)
        agent.start_run(seed=1)
        assert agent.plateaus == 0

    def test_where_no_action_moves_a_single_unit_every_step_is_random_and_a_plateau(self):
        env = Line(start=3, units=2)
        agent = NoisyDiffusionGradient(env.observation_space, env.action_space)
        visits = walk(agent, env, 102)
        assert agent.plateaus == 100  # after one trial of either action
        assert set(visits) == {(3,), (5,), (7,), (9,), (11,)}

    def test_it_survives_dynamics_that_are_not_deterministic(self):
        env = gym.make("FrozenLake-v1", is_slippery=True)
        agent = NoisyDiffusionGradient(env.observation_space, env.action_space)
        train(agent, env, 2_000, seed=0)
        assert agent.progress.timesteps == 2_000

    def test_feedback_that_is_no_number_is_rejected(self):
        agent = NoisyDiffusionGradient(spaces.Discrete(4), spaces.Discrete(2))
        with pytest.raises(AgentError, match="a reward of nan"):
            agent.update(Transition(0, 0, float("nan"), 1, False, False))

    @pytest.mark.parametrize(
        ("setting", "message"),
        [
            ({"stride": 0}, "stride is 0"),
            ({"noise": -1.0}, r"noise is -1\.0"),
            ({"noise": float("nan")}, "noise is nan"),
            ({"perturbation": -1}, "perturbation is -1"),
        ],
    )
    def test_a_setting_out_of_range_is_rejected(self, setting, message):
        with pytest.raises(AgentError, match=message):
            NoisyDiffusionGradient(spaces.Discrete(4), spaces.Discrete(2), **setting)


class TestLearningTheMoves:
    def test_the_end_of_an_axis_hides_a_move_but_does_not_unteach_it(self):
        moves = Displacements([4])
        moves.observe(2, (0, 0), (1, 0))
        moves.observe(2, (6, 0), (6, 0))
        assert moves.unit(0, 1) == 2

    def test_an_action_that_turns_out_to_move_more_axes_is_no_unit_move(self):
        moves = Displacements([9])
        moves.observe(8, (0, 4), (1, 4))
        assert moves.unit(0, 1) == 8
        moves.observe(8, (0, 3), (1, 4))
        assert moves.unit(0, 1) is None

    def test_an_action_that_moved_nothing_is_tried_again_somewhere_else_first(self):
        moves = Displacements([4])
        moves.observe(0, (0, 0), (0, 0))
        assert moves.untried((0, 0)) == 1
        assert moves.untried((1, 0)) == 0

    def test_new_actions_beside_small_displacements_are_tried_first(self):
        moves = Displacements([3, 3])
        moves.observe(0, (3, 3), (2, 2))
        moves.observe(1, (3, 3), (2, 3))
        assert moves.untried((3, 3)) == 2
        moves.observe(2, (3, 3), (2, 4))
        assert moves.untried((3, 3)) == 4

    def test_nothing_is_left_to_try_when_everything_has_moved(self):
        moves = Displacements([2])
        moves.observe(0, (0,), (1,))
        moves.observe(1, (1,), (0,))
        assert moves.untried((0,)) is None


class TestPrediction:
    def test_it_is_the_move_to_the_best_neighbour_seen(self):
        env = Landscape(bowl, start=(1, 1))
        agent = taught(env)
        walk(agent, env, 8)
        # f(2, 1) = -6, f(1, 2) = -9
        assert agent.predict(np.array([1, 1]), deterministic=True)[0].tolist() == [0, 1]

    def test_predicting_changes_nothing(self, tmp_path):
        env = Landscape(bowl, start=(1, 1))
        agent = taught(env)
        walk(agent, env, 5)
        before = agent.save(tmp_path / "agent").read_bytes()
        for state in env.observation_space, env.observation_space:
            agent.predict(state.sample())
        assert agent.save(tmp_path / "agent").read_bytes() == before


GOAL = random_goals(1)[0]


def grid():
    return gym.wrappers.TimeLimit(SemanticGridworld(GOAL, misread=0.05), max_episode_steps=100)


class TestResuming:
    @pytest.mark.parametrize("stop", [1, 3, 10, 57, 203])
    def test_a_run_saved_in_a_probe_goes_on_as_if_it_had_not_stopped(self, stop, tmp_path):
        files = []
        for stops in ([240], [stop, 240]):
            env = grid()
            agent = NoisyDiffusionGradient(env.observation_space, env.action_space)
            for timesteps in stops:
                train(agent, env, timesteps, seed=5)
                path = agent.save(tmp_path / "agent")
                agent = NoisyDiffusionGradient.load(path, env)
                env = grid()
            files.append(path.read_bytes())
        assert files[0] == files[1]

    def test_it_sees_neither_info_nor_what_is_behind_the_environment(self, tmp_path):
        files = []
        for env in (grid(), StrippedEnv(grid())):
            agent = NoisyDiffusionGradient(env.observation_space, env.action_space)
            train(agent, env, 240, seed=5)
            files.append(agent.save(tmp_path / "agent").read_bytes())
        assert files[0] == files[1]

    def test_settings_come_back(self, tmp_path):
        agent = NoisyDiffusionGradient(
            spaces.Discrete(4), spaces.Discrete(2), stride=2, noise=0.5, perturbation=7
        )
        loaded = NoisyDiffusionGradient.load(agent.save(tmp_path / "agent"))
        assert loaded.settings == agent.settings
