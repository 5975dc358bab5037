"""``RLDF-v0``: walk a grammar of prompts until the pictures mean what the target means."""

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.error import InvalidAction, ResetNeeded
from numpy.typing import NDArray

from rldf_gym.actions import invalid_action
from rldf_gym.factory import METADATA, check_render_mode, check_reset_options, make_task
from rldf_gym.goal import Goal
from rldf_gym.json_spec import HasJSONSpec
from rldf_gym.rendering import text_frame
from rldf_gym.state_table import Visit

State = NDArray[np.int64]
Action = int | np.integer[Any] | NDArray[np.int64]

_KEYS = ("qwertyuiop", "asdfghjkl;")


class RLDFEnv(HasJSONSpec, gym.Env[State, Action]):
    """A gridworld of prompts, where every cell is a picture (paper, section 3).

    ## Description
    The agent gets one picture, the target, and nothing else. A grammar spans a space of sentences
    such as "a photo of one dog and no people in park": each choice of words is an axis, each
    sentence a state. In every state a text-to-image model generates an image of the sentence,
    perception reads the image in the same way as the target, and a reward compares the two
    readings. The agent searches for images with the target's meaning.

    A state's image never changes, because its seed is fixed (Discussion 2). It is therefore
    generated and read once, and kept in a store on disk.

    ## Action Space
    With ``action_mode="axis"``, a `MultiDiscrete([n_axes, 2])`: which axis, and

    - 0: down, to the value before (``rldf_gym.actions.DOWN``)
    - 1: up, to the value after (``rldf_gym.actions.UP``)

    With ``action_mode="joint"``, a `MultiDiscrete([3] * n_axes)`, for every axis at once:

    - 0: down, 1: stay, 2: up

    Moves beyond either end of an axis stay at the end. Neighbouring values have similar meanings,
    as far as the grammar's author ordered them so (semantic locality, paper Fig. 3). For
    algorithms that need a Discrete space there is ``rldf_gym.wrappers.FlattenAction``.

    Two modes are for axes with hundreds of values. Both have Discrete actions and
    ``info["action_mask"]``.

    With ``action_mode="jump"``, a `Discrete(sum of the axes' sizes)`: set an axis to a value. The
    actions are numbered axis by axis, so that any state is `n_axes` actions away.

    With ``action_mode="tree"``, a `Discrete`: for every axis, for every level of its vocabulary
    tree (the grammar's nested rules) from the top, two actions, down and up. At level 0 a move
    leads from one part of the axis to the part before or after it, at level 1 from one part of
    such a group to the next, and so on. A state is always a word: a move to a group leads to the
    group's first word, and moves at deeper levels choose inside the group. In the noun axis of
    "world", 1,203 words, two words are 8 moves apart on average. An axis without groups has the
    two moves of "axis".

    ## Observation Space
    A `MultiDiscrete` with one entry for every axis of the grammar, int64: the state, one label
    per axis. ``env.unwrapped.grammar.decode(observation)`` is its sentence. The base grammar has
    2 x 10 x 3 x 8 = 480 states: frequency, noun, density (of people) and scene.

    ## Starting State
    Any state but the goal, with equal chances; ``reset(options={"state": state})`` chooses it.

    ## Reward
    ``reward=`` chooses a function of the image's reading and the goal:

    - ``"multi_semantic"``: C for every fine axis read as in the target, and +C_s if the scene is
      read as in the target, else -C_s (Eqs. 2 to 4); C and C_s are 1
    - ``"partial_semantic"``: the scene's +C_s or -C_s alone (Eq. 5)
    - ``"clip"``: the cosine of the CLIP embeddings of image and target (Eq. 6)
    - ``"package.module:function"``, or a function; see ``rldf_gym.rewards``
    - None: the reward is 0

    Distance is never part of a reward (Discussion 4). ``rldf_gym.wrappers.ReadingReward`` applies
    another reward to an environment that exists.

    ## Episode End
    With ``stop_at="goal_state"`` the episode terminates at the goal state (the paper's terminal
    state), with ``stop_at="match"`` at any state whose image reads as the target does. With
    ``stop_at=None`` it never terminates: the agent collects more reward (paper, Fig. 10). A tuple
    combines conditions; "unrecognised" is a third one, for images in which nothing is recognised
    (Discussion 8). The episode is truncated after 100 steps, or ``max_episode_steps``.

    ## Information
    `step()` and `reset()` return a dict with the following keys:

    - "prompt" - the state's sentence.
    - "values" - int64 `[n_axes]`, the label read on every axis of the image, -1 where unread.
    - "confidence" - float32 `[n_axes]`, 0 to 1.
    - "embedding" - float32 `[d]`, the image's CLIP embedding.
    - "fine", "coarse" - how many fine axes (objects, counts, people, actions, ...) and coarse axes
      (the scene) are read as in the target. A frequency counts only where its noun is right.
    - "distance" - L1 distance of the state to the goal state.
    - "matches" - whether the image reads as the target does on every axis.
    - "at_goal" - whether the state is the goal state.
    - "outside" - whether the *target* shows nothing that the perception knows.
    - "generations" - images generated so far by this environment: those not found in the store.
    - "states_seen" - distinct states visited so far: the generations with an empty store.
    - "action_mask" - int8 `[n_actions]`, with "jump" and "tree" only: 1 for each action that
      leads to another state. Also returned by ``env.unwrapped.action_masks()``, which
      sb3-contrib's MaskablePPO calls.

    `render()` returns the image itself: uint8 `[H, W, 3]` with ``render_mode`` None or
    "rgb_array", a text with "ansi". The goal is ``env.unwrapped.goal``, with ``state``,
    ``prompt``, ``picture``, ``reading``, ``probabilities`` (one array for every axis),
    ``low_confidence_axes``, ``outside`` and ``outside_score``.

    ## Arguments

    ```python
    import gymnasium as gym
    import rldf_gym
    env = gym.make("RLDF-v0", grammar="base", target="picture.png", reward="clip")
    ```

    - ``grammar``: "base", "extended", "actions", the path of a ``.lark`` file, or a `Grammar`.
    - ``target``: path, Pillow image, array uint8 `[H, W, 3]`, or ``data:`` URL; None takes the
      shipped one. ``reset(options={"target": picture})`` changes it.
    - ``generator``: "embedded" (shipped, runs anywhere), "sd14" or another preset that
      ``rldf generators`` lists, ``diffusers:<repository or folder>``, or any `Generator`;
      ``generator_kwargs={"steps": 10}`` replaces settings of a preset.
    - ``reward``, ``action_mode``, ``stop_at``: see above.
    - ``generation_seed``: the seed of every image.
    - ``store``: a file; "default" for ``$RLDF_STORE`` or the user's cache; None for memory only.
    - ``perception``: "auto" for the generator's own, a name or a folder that `make_perception`
      knows, or any `Perception`.
    - ``device``: "cpu", "cuda", "cuda:N", "mps"; None picks CUDA where there is one.
    - ``prefetch``: "neighbours" fills each batch to be generated with neighbours of its states,
      for a device where a larger batch is nearly free; "generations" counts them too. None
      generates only what is asked for.
    - ``render_mode``: see above.

    Grammar, generator and perception may also be ``"package.module:object"``.

    ## References
    Reinforcement Learning from Diffusion Feedback: Q* for Image Search.
    https://arxiv.org/abs/2311.15648

    ## Version History
    - v0: Initial version release
    """

    metadata = METADATA

    def __init__(self, render_mode: str | None = None, **arguments: Any) -> None:
        """Make the environment.

        Args:
            render_mode: None, "rgb_array" or "ansi".
            **arguments: those of `rldf_gym.factory.make_task`; see the class's docstring.

        Raises:
            RLDFError: an argument that cannot be used; the message names it and how to fix it.
            UnsupportedMode: an unknown render mode.
        """
        check_render_mode(render_mode)
        self.render_mode = render_mode
        task = make_task(**arguments)
        self.evaluator, self._table, self._mode = task.evaluator, task.table, task.action_mode
        self.grammar = self.evaluator.grammar
        self.observation_space = self.grammar.observation_space
        self.action_space = self._mode.space
        self._here: Visit | None = None

    def step(self, action: Action) -> tuple[State, float, bool, bool, dict[str, Any]]:
        """Move to another state, and evaluate its image.

        Args:
            action: see the action space.

        Returns:
            The state, the reward, whether the episode terminated, False, and the information.

        Raises:
            InvalidAction: the action is not in the action space.
            ResetNeeded: there was no `reset` yet.
        """
        if self._here is None:
            raise ResetNeeded("call reset() before step()")
        array = np.asarray(action)
        key = array.dtype, array.shape, array.tobytes()
        here = self._here.successors.get(key)
        if here is None:
            index = self._moved(array, self._here)
            here = self._table.visits.get(index)
            if here is None:
                [row] = self._table.rows(np.array([index]))
                here = self._table.visit(index, row)
            self._here.successors[key] = here
        self._here = here
        return here.state.copy(), here.reward, here.terminal, False, self._info(here)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[State, dict[str, Any]]:
        """Start an episode, anywhere but at the goal.

        Args:
            seed: seeds the choice of starting states.
            options: ``"state"``, int ``[n_axes]``, where to start; ``"target"``, a picture, the
                target from now on.

        Raises:
            RLDFError: an unknown option, a state outside the grammar, or a target that cannot be
                used. The environment stays as it was.
        """
        options = check_reset_options(options, "state", "target")
        chosen = self.grammar.index(options["state"]) if "state" in options else None
        with self._table.goal_for(options):
            super().reset(seed=seed)
            index = self._table.random_start(self.np_random) if chosen is None else chosen
            [row] = self._table.rows(np.array([index]))
            self._here = here = self._table.visit(index, row)
        return here.state.copy(), self._info(here)

    def render(self) -> Any:
        """Return the state's image, uint8 ``[H, W, 3]``, or in render mode "ansi" a text.

        Raises:
            ResetNeeded: there was no `reset` yet.
        """
        if self._here is None:
            raise ResetNeeded("call reset() before render()")
        here = self._here
        if self.render_mode == "ansi":
            return text_frame(self.grammar, here.state, self.goal.state)
        return self.evaluator.picture(here.state)

    def close(self) -> None:
        """Close the store's file."""
        self.evaluator.store.close()

    def get_keys_to_action(self) -> dict[str, Any]:
        """Return keys for ``gymnasium.utils.play.play(env, wait_on_player=True)``.

        Keys q, w, e, ... move along axis 0, 1, 2, ... up, the keys below (a, s, d, ...) down. With
        ``action_mode="tree"``, each level of an axis has keys of its own, from the top. "jump" has
        more actions than a keyboard has keys, and has none.
        """
        keys: dict[str, Any] = {}
        for up, down, opposites in zip(*_KEYS, self._mode.opposites, strict=False):
            keys[down], keys[up] = opposites
        return keys

    def action_masks(self) -> NDArray[np.int8]:
        """Return which actions are valid now, for sb3-contrib's MaskablePPO: int8 ``[n_actions]``.

        It is ``info["action_mask"]``; for MultiDiscrete actions, 1 for every choice of every
        component.

        Raises:
            ResetNeeded: there was no `reset` yet.
        """
        if self._here is None:
            raise ResetNeeded("call reset() before action_masks()")
        mask: NDArray[np.int8] = self._mode.masks(self._here.state[np.newaxis])[0]
        return mask

    @property
    def goal(self) -> Goal:
        """What the target means."""
        return self._table.goal

    def __repr__(self) -> str:
        generator, goal = self.evaluator.generator.name, self.goal.prompt
        return f"RLDFEnv(grammar={self.grammar.name!r}, generator={generator!r}, goal={goal!r})"

    def _moved(self, action: NDArray[Any], here: Visit) -> int:
        """Return the number of the state that an action leads to."""
        try:
            [state] = self._mode.apply(action[np.newaxis], here.state[np.newaxis])
        except InvalidAction:
            raise invalid_action(action, self.action_space) from None
        return self.grammar.index(state)

    def _info(self, visit: Visit) -> dict[str, Any]:
        info = visit.info.copy()
        info["values"] = visit.values.copy()
        info["confidence"] = visit.confidence.copy()
        info["embedding"] = visit.embedding.copy()
        if self._mode.masked:
            info["action_mask"] = self._mode.masks(visit.state[np.newaxis])[0]
        info["generations"] = self.evaluator.counts.generations
        info["states_seen"] = self._table.n_visited
        return info
