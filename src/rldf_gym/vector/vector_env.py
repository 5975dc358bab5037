"""``gym.make_vec("RLDF-v0")``: many walks through one world, stepped at once."""

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from numpy.typing import ArrayLike, NDArray

from rldf_gym.errors import RLDFError
from rldf_gym.factory import (
    METADATA,
    check_num_envs,
    check_render_mode,
    check_reset_options,
    find_autoreset_mode,
    make_task,
    step_limit,
)
from rldf_gym.goal import Goal
from rldf_gym.json_spec import HasJSONSpec
from rldf_gym.rendering import text_frame
from rldf_gym.state_table import Rows
from rldf_gym.vector.infos import Infos, Mask, add_final, scatter, with_masks
from rldf_gym.vector.starting_states import Seeds, StartingStates

States = NDArray[np.int64]
Step = tuple[States, NDArray[np.float64], Mask, Mask, Infos]


class RLDFVectorEnv(HasJSONSpec, gym.vector.VectorEnv[States, States, NDArray[Any]]):
    """Sub-environments that search for the same target in the same grammar; many `RLDFEnv`.

    ## Description
    Each sub-environment behaves like an `RLDFEnv`: with the same seeds and actions, observations,
    rewards, ends and information are those of a `SyncVectorEnv` of single environments, except for
    the two counters below. All share one store and one table of states, so that an image is
    generated once for all, and the images missing in a step are generated in one batch. Where
    every state is known, a step is a few array lookups.

    ## Action Space, Observation Space
    Those of `RLDFEnv`, batched: int64 ``[n, 2]`` (``action_mode="joint"``: ``[n, n_axes]``, "jump"
    and "tree": ``[n]``) and int64 ``[n, n_axes]``. ``rldf_gym.wrappers.VectorFlattenAction``
    numbers the actions.

    ## Starting State
    Every sub-environment has a random stream for its starting states. ``reset(seed=s)`` seeds
    that of sub-environment ``i`` with ``s + i``, ``reset(seed=[...])`` with the i-th number (None
    leaves it as it is). The options of `reset` are

    - ``"state"``: int ``[n, n_axes]``, or ``[n_axes]`` for all.
    - ``"target"``: a picture, the target of all from now on.
    - ``"reset_mask"``: bool ``[n]``, which sub-environments to reset (default: all).

    ## Reward
    As in `RLDFEnv`, float64 ``[n]``.

    ## Episode End
    As in `RLDFEnv`. What follows depends on ``autoreset_mode``:

    - ``AutoresetMode.NEXT_STEP`` (or "NextStep", the default): the next step resets the
      sub-environment, whatever its action, with a reward of 0.
    - ``AutoresetMode.SAME_STEP`` ("SameStep"): the same step resets it; ``infos["final_obs"]``
      and ``infos["final_info"]`` describe the end of the episode.
    - ``AutoresetMode.DISABLED`` ("Disabled"): the caller resets it, with ``"reset_mask"``.

    ## Information
    The keys of `RLDFEnv`, each an array ``[n, ...]`` with a mask under the same name after an
    underscore, as in Gymnasium's own vector environments: "prompt" is an array of objects.
    "generations" and "states_seen" count for all sub-environments together: generated images and
    distinct visited states.

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
        render_mode: str | None = None,
        max_episode_steps: int | None = 100,
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
        **arguments: Any,
    ) -> None:
        """Make the vector environment; the arguments are in the class's docstring.

        Raises:
            RLDFError: an argument that cannot be used; the message names it and how to fix it.
            UnsupportedMode: an unknown render mode.
        """
        check_render_mode(render_mode)
        self.num_envs = check_num_envs(num_envs)
        self.render_mode = render_mode
        self._limit = step_limit(max_episode_steps)
        self.autoreset_mode = find_autoreset_mode(autoreset_mode)
        self.metadata = {**METADATA, "autoreset_mode": self.autoreset_mode}
        task = make_task(**arguments)
        self.evaluator, self._table, self._mode = task.evaluator, task.table, task.action_mode
        self.grammar = self.evaluator.grammar
        self.single_observation_space = self.grammar.observation_space
        self.single_action_space = self._mode.space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._starts = StartingStates(num_envs)
        self._strides = self.grammar.strides
        self._states: States | None = None
        self._elapsed = np.zeros(num_envs, np.int64)
        self._none = np.zeros(num_envs, np.bool_)
        self._ended = self._none

    @property
    def np_random_seed(self) -> Any:
        """The seed of every sub-environment's starting states, as `SyncVectorEnv` gives them."""
        return self._starts.seeds_in_use

    def step(self, actions: ArrayLike) -> Step:
        """Move every sub-environment, and evaluate the images there.

        Args:
            actions: see the action space.

        Returns:
            The states ``[n, n_axes]``, rewards float64 ``[n]``, which episodes terminated and
            which were truncated, and the information.

        Raises:
            InvalidAction: an action is not in the action space.
            ResetNeeded: there was no `reset` yet; or an episode has ended and
                ``autoreset_mode`` leaves its reset to the caller.
        """
        states = self._moved(actions)
        elapsed, starting = self._elapsed + 1, self._ended
        if starting.any():
            states[starting] = self._random_starts(starting)
            elapsed[starting] = 0
        rows = self._table.rows(states @ self._strides)
        rewards = self._table.column("reward", rows)
        terminated = self._table.column("terminal", rows)
        rewards[starting], terminated[starting] = 0.0, False
        truncated = elapsed >= self._limit
        ended = terminated | truncated
        if self.autoreset_mode is AutoresetMode.SAME_STEP and ended.any():
            infos = self._restart(states, rows, ended)
            elapsed[ended] = 0
            ended = self._none
        else:
            infos = self._infos(rows)
        self._states, self._elapsed, self._ended = states, elapsed, ended
        return states.copy(), rewards, terminated, truncated, infos

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
        options = check_reset_options(options, "state", "target", "reset_mask")
        mask = self._mask(options)
        seeds = self._starts.seeds(seed)
        chosen = self._chosen(options["state"]) if "state" in options else None
        if "target" in options and not mask.all():
            raise RLDFError("a new 'target' is for all sub-environments: leave 'reset_mask'")
        with self._table.goal_for(options):
            self._starts.restart(mask, seeds)
            starts = self._random_starts(mask) if chosen is None else chosen[mask]
            infos = self._infos(self._table.rows(starts @ self._strides))
        states = starts if self._states is None else self._states.copy()
        states[mask] = starts
        self._states, self._ended = states, self._ended & ~mask
        self._elapsed = np.where(mask, 0, self._elapsed)
        return states.copy(), infos if mask.all() else scatter(infos, mask)

    def render(self) -> tuple[Any, ...]:
        """Every sub-environment's picture, or in render mode "ansi" its text; see `RLDFEnv`.

        Raises:
            ResetNeeded: there was no `reset` yet.
        """
        states = self._current()
        if self.render_mode == "ansi":
            return tuple(text_frame(self.grammar, state, self.goal.state) for state in states)
        return tuple(self.evaluator.picture(state) for state in states)

    def action_masks(self) -> NDArray[np.int8]:
        """Return which actions are valid now, int8 ``[n, n_actions]``; see `RLDFEnv`.

        Raises:
            ResetNeeded: there was no `reset` yet.
        """
        return self._mode.masks(self._current())

    @property
    def goal(self) -> Goal:
        """What the target means."""
        return self._table.goal

    def close_extras(self, **kwargs: Any) -> None:
        """Close the store's file."""
        if hasattr(self, "evaluator"):  # not where making the environment failed
            self.evaluator.store.close()

    def _current(self) -> States:
        if self._states is None:
            raise ResetNeeded("call reset() before step() or render()")
        return self._states

    def _moved(self, actions: ArrayLike) -> States:
        here = self._current()
        if self.autoreset_mode is AutoresetMode.DISABLED and self._ended.any():
            raise ResetNeeded(
                f"the episodes of sub-environments {np.flatnonzero(self._ended).tolist()} have"
                " ended; reset them with options={'reset_mask': ...}"
            )
        return self._mode.apply(actions, here)

    def _restart(self, states: States, rows: Rows, ended: Mask) -> Infos:
        """Start new episodes, in place, where one has ended."""
        final = states[ended]
        final_infos = self._infos(rows[ended])
        states[ended] = self._random_starts(ended)
        infos = self._infos(self._table.rows(states @ self._strides))
        add_final(infos, final, final_infos, ended)
        return infos

    def _random_starts(self, mask: Mask) -> States:
        indices = np.array([*map(self._table.random_start, self._starts.streams(mask))], np.int64)
        states: States = indices[:, np.newaxis] // self._strides % self.grammar.nvec
        return states

    def _infos(self, rows: Rows) -> Infos:
        columns = self._table.information(rows)
        if self._mode.masked:
            columns["action_mask"] = self._mode.masks(self._table.column("state", rows))
        columns["generations"] = np.full(len(rows), self.evaluator.generations)
        columns["states_seen"] = np.full(len(rows), self._table.n_visited)
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
