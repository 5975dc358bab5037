"""``gym.make_vec("RLDF-v0")``: many walks through one world, stepped at once."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.error import InvalidAction, ResetNeeded
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from numpy.typing import ArrayLike, NDArray

from rldf_gym.actions import make_action_mode
from rldf_gym.errors import RLDFError
from rldf_gym.factory import (
    METADATA,
    STOP_CONDITIONS,
    check_num_envs,
    check_render_mode,
    check_reset_options,
    check_stop_at,
    find_autoreset_mode,
    make_evaluator,
    step_limit,
)
from rldf_gym.generation import Generator
from rldf_gym.goal import Goal, Target, infer_goal, load_picture
from rldf_gym.grammar import Grammar, load_grammar
from rldf_gym.perception import Perception, Reading
from rldf_gym.rendering import text_frame
from rldf_gym.rewards import DEFAULT_REWARD
from rldf_gym.vector.infos import Infos, Mask, add_final, scatter, with_masks
from rldf_gym.vector.rewards import vector_reward_wrapper
from rldf_gym.vector.starting_states import Seeds, StartingStates
from rldf_gym.vector.state_table import Rows, StateTable

States = NDArray[np.int64]
Step = tuple[States, NDArray[np.float64], Mask, Mask, Infos]


class RLDFVectorEnv(gym.vector.VectorEnv[States, States, NDArray[Any]]):
    """Sub-environments that walk the same world after the same goal; `RLDFEnv`, many at once.

    ## Description
    Each sub-environment behaves as an `RLDFEnv` of its own would: with the same seeds and
    actions, the observations, rewards, endings and information are those of a `SyncVectorEnv`
    of single environments, except for the two counters below. All of them share one world, so
    that a picture is drawn once for all, and the pictures missing in a step are drawn in one
    batch. Where everything is in the store, a step is a few array lookups.

    ## Action Space, Observation Space
    Those of `RLDFEnv`, batched: int64 ``[n, 2]`` (``action_mode="joint"``: ``[n, n_axes]``) and
    int64 ``[n, n_axes]``. ``rldf_gym.actions.VectorFlattenAction`` numbers the actions.

    ## Starting State
    Sub-environment ``i`` draws its starting states with a random stream of its own.
    ``reset(seed=s)`` seeds it with ``s + i``, ``reset(seed=[...])`` with the i-th number (None
    leaves it as it is). The options of `reset` are

    - ``"state"``: int ``[n, n_axes]``, or ``[n_axes]`` for all.
    - ``"target"``: a picture that all search for from now on.
    - ``"reset_mask"``: bool ``[n]``, which sub-environments to reset (default: all).

    ## Reward
    As in `RLDFEnv`; ``reward=`` chooses a wrapper in ``rldf_gym.vector.rewards``.

    ## Episode End
    As in `RLDFEnv`. What follows is up to ``autoreset_mode``:

    - ``AutoresetMode.NEXT_STEP`` (or "NextStep", the default): the next step resets the
      sub-environment, whatever its action, with a reward of 0.
    - ``AutoresetMode.SAME_STEP`` ("SameStep"): the same step resets it; ``infos["final_obs"]``
      and ``infos["final_info"]`` tell where the episode ended.
    - ``AutoresetMode.DISABLED`` ("Disabled"): the caller resets it, with ``"reset_mask"``.

    ## Information
    The keys of `RLDFEnv`, each an array ``[n]`` with a mask under the same name after an
    underscore, as Gymnasium's own vector environments give them: "prompt" and "reading" are
    arrays of objects, "fine", "coarse" and "distance" int64, "matches" and "at_goal" bool.
    "generations" and "states_seen" are int64 and count for all sub-environments together:
    generated images and distinct visited states.

    ## Arguments
    Those of `RLDFEnv`, and

    - ``num_envs``: how many sub-environments.
    - ``max_episode_steps``: steps until an episode is truncated; None or -1 for no limit.
    - ``autoreset_mode``: see above.

    ## Version History
    - v0: Initial version release
    """

    def __init__(
        self,
        num_envs: int = 1,
        grammar: str | Path | Grammar = "base",
        target: Target | None = None,
        generator: str | Generator = "embedded",
        action_mode: str = "axis",
        stop_at: str | None = "goal_state",
        generation_seed: int = 0,
        store: str | Path | None = "default",
        perception: str | Path | Perception = "auto",
        device: str | None = None,
        prefetch: str | None = None,
        generator_kwargs: Mapping[str, Any] | None = None,
        render_mode: str | None = None,
        max_episode_steps: int | None = 100,
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
    ) -> None:
        """Make the bare vector environment; its arguments are in the class's docstring.

        Raises:
            RLDFError: an argument that cannot be used; the message names it and the mend.
            UnsupportedMode: an unknown render mode.
        """
        check_render_mode(render_mode)
        self.num_envs = check_num_envs(num_envs)
        self.render_mode = render_mode
        self.stop_at = check_stop_at(stop_at)
        self._limit = step_limit(max_episode_steps)
        self._autoreset = find_autoreset_mode(autoreset_mode)
        self.metadata = {**METADATA, "autoreset_mode": self._autoreset}
        self.grammar = load_grammar(grammar)
        self._mode = make_action_mode(action_mode, self.grammar.n_axes)
        self.single_observation_space = self.grammar.observation_space
        self.single_action_space = self._mode.space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        picture = load_picture(target)
        self.evaluator = make_evaluator(
            self.grammar,
            generator,
            perception,
            store,
            generation_seed,
            device,
            prefetch,
            generator_kwargs,
        )
        self.grammar = self.evaluator.grammar  # with the roles that the models know
        self.goal = infer_goal(self.evaluator, picture)
        self._goal_index = self.grammar.index(self.goal.state)
        self._visited = StateTable(self.evaluator, self.goal)
        self._starts = StartingStates(num_envs, self.grammar.n_states)
        self._strides = self.grammar.strides
        self._highest = np.tile(self.grammar.nvec - 1, (num_envs, 1))
        self._endings: list[Callable[[Reading], bool]] = []
        self._states: States | None = None
        self._elapsed = np.zeros(num_envs, np.int64)
        self._nobody = np.zeros(num_envs, np.bool_)
        self._ended = self._nobody

    @property
    def np_random_seed(self) -> Any:
        """The seed of every sub-environment's starting states, as `SyncVectorEnv` gives them."""
        return self._starts.seeds_in_use

    def step(self, actions: ArrayLike) -> Step:
        """Move every sub-environment, and look at the pictures there.

        Args:
            actions: see the action space.

        Returns:
            The states ``[n, n_axes]``, rewards of 0 (a wrapper gives the real ones), who
            terminated, who was truncated, and the information.

        Raises:
            InvalidAction: an action is not in the action space.
            ResetNeeded: there was no `reset` yet; or an episode has ended and
                ``autoreset_mode`` leaves its reset to the caller.
        """
        states = self._moved(actions)
        elapsed = self._elapsed + 1
        if self._ended.any():
            states[self._ended] = self._drawn_starts(self._ended)
            elapsed[self._ended] = 0
        indices = states @ self._strides
        terminated = self._terminated(indices) & ~self._ended
        truncated = elapsed >= self._limit
        ended = terminated | truncated
        if self._autoreset is AutoresetMode.SAME_STEP and ended.any():
            infos = self._restart(states, indices, ended)
            elapsed[ended] = 0
            ended = self._nobody
        else:
            infos = self._infos(self._visited.rows(indices))
        self._states, self._elapsed, self._ended = states, elapsed, ended
        return states.copy(), np.zeros(self.num_envs), terminated, truncated, infos

    def reset(
        self,
        *,
        seed: Seeds = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[States, Infos]:
        """Start episodes, anywhere but at the goal.

        Args:
            seed: one for all, or one for each sub-environment; see the starting state.
            options: see the starting state.

        Raises:
            RLDFError: an unknown option, a state outside the grammar, a target that cannot be
                used, or a mask or seeds of the wrong length. The environment stays as it was.
            gymnasium.error.Error: a seed below 0, or no whole number; likewise.
        """
        options = {} if options is None else options
        check_reset_options(options, "state", "target", "reset_mask")
        mask = self._mask(options)
        seeds = self._starts.seeds(seed)
        chosen = self._chosen(options["state"]) if "state" in options else None
        if "target" in options and not mask.all():
            raise RLDFError("a new 'target' is for all sub-environments: leave 'reset_mask'")
        goal = infer_goal(self.evaluator, options["target"]) if "target" in options else self.goal
        self._starts.restart(mask, seeds)
        before = self.goal
        self._set_goal(goal)
        starts = self._drawn_starts(mask) if chosen is None else chosen[mask]
        try:
            infos = self._infos(self._visited.rows(starts @ self._strides))
        except BaseException:
            self._set_goal(before)
            raise
        states = np.zeros_like(self._highest) if self._states is None else self._states.copy()
        states[mask] = starts
        self._states, self._ended = states, self._ended & ~mask
        self._elapsed = np.where(mask, 0, self._elapsed)
        return states.copy(), infos if mask.all() else scatter(infos, mask)

    def render(self) -> tuple[Any, ...]:
        """Every sub-environment's picture, or in render mode "ansi" its text; see `RLDFEnv`.

        Raises:
            ResetNeeded: there was no `reset` yet.
        """
        states = self._where()
        if self.render_mode == "ansi":
            return tuple(text_frame(self.grammar, state, self.goal.state) for state in states)
        return tuple(self.evaluator.picture(state) for state in states)

    def end_episodes_at(self, test: Callable[[Reading], bool]) -> None:
        """End an episode also where the picture's reading passes a test, from now on."""
        self._endings.append(test)

    def close_extras(self, **kwargs: Any) -> None:
        """Close the store's file."""
        if hasattr(self, "world"):  # not where making the environment failed
            self.evaluator.store.close()

    def _set_goal(self, goal: Goal) -> None:
        """See everything with respect to this goal from now on."""
        if goal is not self.goal:
            self.goal = goal
            self._goal_index = self.grammar.index(goal.state)
            self._visited.set_goal(goal)

    def _where(self) -> States:
        if self._states is None:
            raise ResetNeeded("call reset() before step() or render()")
        return self._states

    def _moved(self, actions: ArrayLike) -> States:
        here = self._where()
        if self._autoreset is AutoresetMode.DISABLED and self._ended.any():
            raise ResetNeeded(
                f"the episodes of sub-environments {np.flatnonzero(self._ended).tolist()} have"
                " ended; reset them with options={'reset_mask': ...}"
            )
        states = self._mode.changes(actions)
        if len(states) != self.num_envs:
            raise InvalidAction(f"{len(states)} actions for {self.num_envs} sub-environments")
        states += here
        np.maximum(states, 0, out=states)
        np.minimum(states, self._highest, out=states)
        return states

    def _terminated(self, indices: NDArray[np.int64]) -> Mask:
        terminated: Mask = self._nobody
        if self.stop_at == "goal_state":
            terminated = indices == self._goal_index
        elif self.stop_at is not None:
            rows = self._visited.rows(indices)
            terminated = self._visited.information(rows)[STOP_CONDITIONS[self.stop_at]]
        if self._endings:
            readings = self._visited.readings(self._visited.rows(indices))
            ends = [any(test(reading) for test in self._endings) for reading in readings]
            terminated = terminated | np.array(ends)
        return terminated

    def _restart(self, states: States, indices: NDArray[np.int64], ended: Mask) -> Infos:
        """Start anew, in place, where an episode has ended; all that is missing in one batch."""
        final, final_indices = states[ended], indices[ended]
        states[ended] = self._drawn_starts(ended)
        rows = self._visited.rows(np.concatenate([final_indices, states @ self._strides]))
        infos = self._infos(rows[len(final) :])
        add_final(infos, final, self._infos(rows[: len(final)]), ended)
        return infos

    def _drawn_starts(self, mask: Mask) -> States:
        drawn = self._starts.draw(mask, self._goal_index)
        states: States = drawn[:, np.newaxis] // self._strides % self.grammar.nvec
        return states

    def _infos(self, rows: Rows) -> Infos:
        columns = self._visited.information(rows)
        columns["generations"] = np.full(len(rows), self.evaluator.generations)
        columns["states_seen"] = np.full(len(rows), len(self._visited))
        return with_masks(columns, len(rows))

    def _mask(self, options: dict[str, Any]) -> Mask:
        given = options.get("reset_mask", np.ones(self.num_envs, np.bool_))
        try:
            mask = np.array(given)
        except ValueError:  # rows of different lengths
            mask = np.array(False)
        if mask.shape != (self.num_envs,) or mask.dtype != np.bool_ or not mask.any():
            raise RLDFError(
                f"reset_mask is {given!r}; give a bool array [{self.num_envs}] with a True in it"
            )
        if self._states is None and not mask.all():
            raise ResetNeeded("the first reset() is for all sub-environments: leave 'reset_mask'")
        return mask

    def _chosen(self, state: ArrayLike) -> States:
        try:
            states = np.asarray(state)
        except ValueError:  # rows of different lengths: no state at all, as the grammar will say
            states = np.empty(0)
        if states.ndim != 2:
            return np.tile(self.grammar.validate(state), (self.num_envs, 1))
        if len(states) != self.num_envs:
            raise RLDFError(f"{len(states)} states for {self.num_envs} sub-environments")
        return np.stack([self.grammar.validate(each) for each in states])


def make_vector_env(
    reward: str | None = DEFAULT_REWARD, **arguments: Any
) -> gym.vector.VectorEnv[States, States, NDArray[Any]]:
    """What ``gym.make_vec("RLDF-v0")`` calls; its arguments are in `RLDFVectorEnv`'s docstring.

    Raises:
        RLDFError: an argument that cannot be used; the message names it and the mend.
        UnsupportedMode: an unknown render mode.
    """
    wrapper = None if reward is None else vector_reward_wrapper(reward)
    env = RLDFVectorEnv(**arguments)
    return env if wrapper is None else wrapper(env)
