"""``RLDF-v0``: walk a grammar of prompts until the pictures mean what the target means."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.error import ResetNeeded
from numpy.typing import NDArray

from rldf_gym.actions import make_action_mode
from rldf_gym.evaluator import MOST_REMEMBERED
from rldf_gym.factory import (
    METADATA,
    STOP_CONDITIONS,
    check_render_mode,
    check_reset_options,
    check_stop_at,
    make_evaluator,
)
from rldf_gym.generation import Generator
from rldf_gym.goal import Goal, Target, infer_goal, load_picture
from rldf_gym.grammar import Grammar, load_grammar
from rldf_gym.perception import Perception
from rldf_gym.rendering import text_frame
from rldf_gym.rewards import DEFAULT_REWARD, coarse_gain, fine_gain, reward_wrapper

State = NDArray[np.int64]


class RLDFEnv(gym.Env[State, State]):
    """A gridworld of prompts, where every cell is a picture (paper, section 3).

    ## Description
    The agent is given one picture, the target, and nothing else. A grammar spans a space of
    sentences such as "a photo of one dog and no people in park": each choice of words is an axis,
    each sentence a state. In every state a text-to-image model draws the state's sentence, the
    picture is read the same way the target was read, and the two readings decide the reward. The
    agent walks until it draws pictures with the target's meaning.

    What a state's picture shows never changes: its seed is fixed (Discussion 2). It is therefore
    drawn and read once, ever, and kept in a store on disk.

    ## Action Space
    With ``action_mode="axis"``, a `MultiDiscrete([n_axes, 2])`: which axis, and

    - 0: down, to the value before (``rldf_gym.actions.DOWN``)
    - 1: up, to the value after (``rldf_gym.actions.UP``)

    With ``action_mode="joint"``, a `MultiDiscrete([3] * n_axes)`, for every axis at once:

    - 0: back, 1: stay, 2: forth (``BACK``, ``STAY``, ``FORTH``)

    Moves beyond either end of an axis stay at the end. Neighbouring values mean alike, as far as
    the grammar's author saw to it (semantic locality, paper Fig. 3). For algorithms that need a
    Discrete space there is ``rldf_gym.actions.FlattenAction``.

    ## Observation Space
    A `MultiDiscrete` with one entry for every axis of the grammar, int64: the state, one label
    per axis. ``env.unwrapped.grammar.decode(observation)`` is its sentence. The base grammar has
    2 x 10 x 3 x 8 = 480 states: frequency, noun, density (of people) and scene.

    ## Starting State
    Any state but the goal, with equal chances; ``reset(options={"state": state})`` chooses it.

    ## Reward
    ``reward=`` names one of the paper's three, a wrapper in ``rldf_gym.rewards``:

    - ``"multi_semantic"``: C for every fine axis read as in the target, and +C_s if the scene is
      read as in the target, else -C_s (Eqs. 2 to 4)
    - ``"partial_semantic"``: the scene's +C_s or -C_s alone (Eq. 5)
    - ``"clip"``: the cosine of the two pictures' CLIP embeddings (Eq. 6)

    C and C_s are 1; for others, make the environment with ``reward=None`` and wrap it yourself.
    Bare, the environment gives 0. Distance is never part of a reward (Discussion 4).

    ## Episode End
    With ``stop_at="goal_state"`` the episode terminates at the goal state (the paper's terminal
    state), with ``stop_at="match"`` at any state whose picture reads as the target does. With
    ``stop_at=None`` it never terminates: the agent collects more reward (paper, Fig. 10). It is
    truncated after 100 steps, or ``max_episode_steps``.

    ## Information
    `step()` and `reset()` return a dict with the following keys:

    - "prompt" - the state's sentence.
    - "reading" - a `Reading` of its picture: ``values`` int64 `[n_axes]` (-1 where unread),
      ``confidence`` float32 `[n_axes]`, ``embedding`` float32 `[d]`; all read-only.
    - "fine", "coarse" - how many fine axes (objects, counts, people, actions, ...) and coarse axes
      (the scene) are read as in the target. A frequency counts only where its noun is right.
    - "distance" - L1 distance of the state to the goal state.
    - "matches" - whether the picture reads as the target does on every axis.
    - "at_goal" - whether the state is the goal state.
    - "generations" - pictures drawn so far by this environment: those not found in the store.
    - "states_seen" - distinct states visited so far: what an empty store would have cost.

    The picture itself comes from `render()`: uint8 `[H, W, 3]` with ``render_mode`` None or
    "rgb_array", a text with "ansi". The goal is ``env.unwrapped.goal``, with ``state``,
    ``prompt``, ``reading``, ``picture`` and ``low_confidence_axes``.

    ## Arguments

    ```python
    import gymnasium as gym
    import rldf_gym
    env = gym.make("RLDF-v0", grammar="base", target="picture.png", reward="clip")
    ```

    - ``grammar``: "base", "extended", "actions", the path of a ``.lark`` file, or a `Grammar`.
    - ``target``: path, Pillow image or array uint8 `[H, W, 3]`; None takes one that is shipped.
      ``reset(options={"target": picture})`` changes it.
    - ``generator``: "embedded" (shipped, runs anywhere), "sd14" or another preset that
      ``rldf generators`` lists, ``diffusers:<repository or folder>``, or any `Generator`;
      ``generator_kwargs={"steps": 10}`` replaces settings of a preset.
    - ``reward``: see above.
    - ``action_mode``, ``stop_at``: see above.
    - ``generation_seed``: the seed of every picture.
    - ``store``: a file; "default" for ``$RLDF_STORE`` or the user's cache; None for memory only.
    - ``perception``: "auto" for the one that goes with the generator, a name or a folder that
      `make_perception` knows, or any `Perception`.
    - ``device``: "cpu", "cuda", "cuda:N", "mps"; None picks CUDA where there is one.
    - ``prefetch``: "neighbours" fills up each batch that has to be drawn with undrawn neighbours
      of its states, for a device where a larger batch is nearly free; "generations" counts them
      too. None draws what is asked for.

    ## References
    Reinforcement Learning from Diffusion Feedback: Q* for Image Search.
    https://arxiv.org/abs/2311.15648

    ## Version History
    - v0: Initial version release
    """

    metadata = METADATA

    def __init__(
        self,
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
    ) -> None:
        """Make the bare environment; its arguments are in the class's docstring.

        Raises:
            RLDFError: an argument that cannot be used; the message names it and the mend.
            UnsupportedMode: an unknown render mode.
        """
        check_render_mode(render_mode)
        self.render_mode = render_mode
        self.stop_at = check_stop_at(stop_at)
        self.grammar = load_grammar(grammar)
        self.observation_space = self.grammar.observation_space
        self._mode = make_action_mode(action_mode, self.grammar.n_axes)
        self.action_space = self._mode.space
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
        self._sizes: list[int] = self.grammar.nvec.tolist()
        self._strides: list[int] = self.grammar.strides.tolist()
        self._places: dict[int, _Place] = {}
        self._seen: set[int] = set()
        self._here: _Place | None = None

    def step(self, action: State) -> tuple[State, float, bool, bool, dict[str, Any]]:
        """Move, and look at the picture there.

        Args:
            action: see the action space.

        Returns:
            The state, a reward of 0 (a wrapper gives the real one), whether the goal ended the
            episode, False, and the information.

        Raises:
            InvalidAction: the action is not in the action space.
            ResetNeeded: there was no `reset` yet.
        """
        here = self._where()
        index = here.index
        for axis, change in self._mode.moves(action):
            if 0 <= here.labels[axis] + change < self._sizes[axis]:
                index += change * self._strides[axis]
        self._here = here = self._place(index)
        return here.state.copy(), 0.0, here.terminal, False, self._info(here)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[State, dict[str, Any]]:
        """Start an episode, anywhere but at the goal.

        Args:
            seed: seeds the choice of starting states.
            options: ``"state"``, int ``[n_axes]``, where to start; ``"target"``, a picture that
                is searched for from now on.

        Raises:
            RLDFError: an unknown option, a state outside the grammar, or a target that cannot be
                used. The environment stays as it was.
        """
        options = {} if options is None else options
        check_reset_options(options, "state", "target")
        chosen = self.grammar.index(options["state"]) if "state" in options else None
        goal = infer_goal(self.evaluator, options["target"]) if "target" in options else self.goal
        super().reset(seed=seed)
        before = self.goal
        self._set_goal(goal)
        try:
            self._here = here = self._place(self._any_but_goal() if chosen is None else chosen)
        except BaseException:
            self._set_goal(before)
            raise
        return here.state.copy(), self._info(here)

    def render(self) -> Any:
        """The state's picture, uint8 ``[H, W, 3]``, or in render mode "ansi" a text.

        Raises:
            ResetNeeded: there was no `reset` yet.
        """
        here = self._where()
        if self.render_mode == "ansi":
            return text_frame(self.grammar, here.state, self.goal.state)
        return self.evaluator.picture(here.state)

    def close(self) -> None:
        """Close the store's file."""
        self.evaluator.store.close()

    def _set_goal(self, goal: Goal) -> None:
        """See everything with respect to this goal from now on."""
        if goal is not self.goal:
            self.goal = goal
            self._places.clear()

    def _where(self) -> "_Place":
        if self._here is None:
            raise ResetNeeded("call reset() before step() or render()")
        return self._here

    def _place(self, index: int) -> "_Place":
        found = self._places.get(index)
        if found is None:
            found = self._visit(index)
            if len(self._places) >= MOST_REMEMBERED:
                self._places.clear()
            self._places[index] = found
            self._seen.add(index)
        return found

    def _visit(self, index: int) -> "_Place":
        state = self.grammar.state(index)
        [reading] = self.evaluator.readings([state])
        gains = {
            "prompt": self.grammar.decode(state),
            "reading": reading,
            "fine": int(fine_gain(reading.values, self.goal.state, self.grammar)),
            "coarse": int(coarse_gain(reading.values, self.goal.state, self.grammar)),
            "distance": int(np.abs(state - self.goal.state).sum()),
            "matches": np.array_equal(reading.values, self.goal.reading.values),
            "at_goal": np.array_equal(state, self.goal.state),
        }
        terminal = self.stop_at is not None and bool(gains[STOP_CONDITIONS[self.stop_at]])
        return _Place(index, state, tuple(state.tolist()), terminal, gains)

    def _info(self, place: "_Place") -> dict[str, Any]:
        return {
            **place.told,
            "generations": self.evaluator.generations,
            "states_seen": len(self._seen),
        }

    def _any_but_goal(self) -> int:
        index = int(self.np_random.integers(self.grammar.n_states - 1))
        return index + (index >= self.grammar.index(self.goal.state))


@dataclass(frozen=True, eq=False, slots=True)
class _Place:
    """A state as this goal sees it, worked out at the first visit."""

    index: int
    state: State
    labels: tuple[int, ...]
    terminal: bool
    told: dict[str, Any]


class _EntryPoint:
    """What ``gym.make("RLDF-v0")`` calls: the environment in the wrapper of its reward."""

    metadata = RLDFEnv.metadata

    def __call__(
        self,
        grammar: str | Path | Grammar = "base",
        target: Target | None = None,
        generator: str | Generator = "embedded",
        reward: str | None = DEFAULT_REWARD,
        action_mode: str = "axis",
        stop_at: str | None = "goal_state",
        generation_seed: int = 0,
        store: str | Path | None = "default",
        perception: str | Path | Perception = "auto",
        device: str | None = None,
        prefetch: str | None = None,
        generator_kwargs: Mapping[str, Any] | None = None,
        render_mode: str | None = None,
    ) -> gym.Env[State, State]:
        """Make the environment; its arguments are in `RLDFEnv`'s docstring.

        Raises:
            RLDFError: an argument that cannot be used; the message names it and the mend.
            UnsupportedMode: an unknown render mode.
        """
        wrapper = None if reward is None else reward_wrapper(reward)
        env = RLDFEnv(
            grammar=grammar,
            target=target,
            generator=generator,
            action_mode=action_mode,
            stop_at=stop_at,
            generation_seed=generation_seed,
            store=store,
            perception=perception,
            device=device,
            prefetch=prefetch,
            generator_kwargs=generator_kwargs,
            render_mode=render_mode,
        )
        return env if wrapper is None else wrapper(env)


make_env = _EntryPoint()
