"""What an agent can do: move one step along one axis, or one step along every axis at once."""

import math
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.error import InvalidAction
from gymnasium.vector import VectorActionWrapper
from gymnasium.vector.utils import batch_space
from numpy.typing import ArrayLike, NDArray

from rldf_gym.errors import RLDFError

DOWN = 0
UP = 1
"""Directions of ``action_mode="axis"``: to the value before, to the value after."""

BACK = 0
STAY = 1
FORTH = 2
"""Moves of ``action_mode="joint"``, one for every axis."""

Actions = NDArray[np.int64]
VectorEnv = gym.vector.VectorEnv[Any, Any, Any]

if TYPE_CHECKING:
    _VectorActionWrapper = VectorActionWrapper[Any, Any, Any, Any]
else:  # not generic before Gymnasium 1.3
    _VectorActionWrapper = VectorActionWrapper


class ActionMode(Protocol):
    """Turns an action into moves."""

    @property
    def space(self) -> "spaces.MultiDiscrete[np.int64]":
        """The actions."""
        ...

    def moves(self, action: Any) -> Iterable[tuple[int, int]]:
        """Pairs (axis, -1 or +1) that the action asks for.

        Raises:
            InvalidAction: the action is not in the space.
        """
        ...

    def changes(self, actions: ArrayLike) -> NDArray[np.int64]:
        """What actions ``[n, len(space)]`` do to every axis: int64 ``[n, n_axes]``, -1, 0 or +1.

        Raises:
            InvalidAction: one of the actions is not in the space.
        """
        ...


class AxisMode:
    """``MultiDiscrete([n_axes, 2])``: which axis, and `DOWN` or `UP`; the gridworld's moves."""

    def __init__(self, n_axes: int) -> None:
        self.space = spaces.MultiDiscrete([n_axes, 2])
        self._sizes = (n_axes, 2)
        steps = np.array([-1, 1], np.int64)
        self._changes = np.kron(np.eye(n_axes, dtype=np.int64), steps[:, np.newaxis])
        self._moves: dict[tuple[int, ...], tuple[tuple[int, int]]] = {
            (axis, direction): ((axis, 2 * direction - 1),)
            for axis in range(n_axes)
            for direction in (DOWN, UP)
        }

    def moves(self, action: Any) -> Iterable[tuple[int, int]]:
        """The one move (axis, -1 or +1)."""
        found = self._moves.get(_whole_numbers(action, self.space))
        if found is None:
            raise _refusal(action, self.space)
        return found

    def changes(self, actions: ArrayLike) -> NDArray[np.int64]:
        """One axis changes for every action."""
        array = _integers(actions, self.space)
        try:
            numbers = np.ravel_multi_index((array[:, 0], array[:, 1]), self._sizes)
        except ValueError as error:
            raise _refusal(actions, self.space) from error
        changes: NDArray[np.int64] = self._changes.take(numbers, axis=0)
        return changes


class JointMode:
    """``MultiDiscrete([3] * n_axes)``: `BACK`, `STAY` or `FORTH` on every axis at once."""

    def __init__(self, n_axes: int) -> None:
        self.space = spaces.MultiDiscrete([3] * n_axes)
        self._n_axes = n_axes

    def moves(self, action: Any) -> Iterable[tuple[int, int]]:
        """A move (axis, -1 or +1) for every axis that does not stay."""
        numbers = _whole_numbers(action, self.space)
        if len(numbers) != self._n_axes or not {BACK, STAY, FORTH}.issuperset(numbers):
            raise _refusal(action, self.space)
        return [(axis, number - 1) for axis, number in enumerate(numbers) if number != STAY]

    def changes(self, actions: ArrayLike) -> NDArray[np.int64]:
        """Any number of axes changes for every action."""
        array = _integers(actions, self.space)
        if array.min(initial=BACK) < BACK or array.max(initial=FORTH) > FORTH:
            raise _refusal(actions, self.space)
        changes: NDArray[np.int64] = array.astype(np.int64) - STAY
        return changes


ACTION_MODES: Mapping[str, type[AxisMode | JointMode]] = MappingProxyType(
    {"axis": AxisMode, "joint": JointMode}
)
"""The action modes that ``gym.make("RLDF-v0", action_mode=...)`` knows by name."""


def make_action_mode(name: str, n_axes: int) -> ActionMode:
    """The action mode of that name for a grammar with so many axes.

    Raises:
        RLDFError: unknown name; the message lists the known ones.
    """
    if name not in ACTION_MODES:
        raise RLDFError(f"unknown action_mode {name!r}; known: {', '.join(ACTION_MODES)}")
    return ACTION_MODES[name](n_axes)


class FlattenAction(gym.ActionWrapper[Any, Any, Any], gym.utils.RecordConstructorArgs):
    """Numbers the actions of a MultiDiscrete space, for algorithms that need a Discrete one.

    Gymnasium itself flattens continuous actions only (``DiscretizeAction``).

    Example:
        >>> import gymnasium as gym
        >>> import rldf_gym
        >>> from rldf_gym.actions import FlattenAction
        >>> env = gym.make("RLDF-v0")
        >>> env.action_space
        MultiDiscrete([4 2])
        >>> env = FlattenAction(env)
        >>> env.action_space
        Discrete(8)
        >>> env.action(5)
        array([2, 1])

    Change logs:
     * v0.1.0 - Initially added
    """

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        """Wrap an environment whose action space is MultiDiscrete.

        Raises:
            RLDFError: another action space, or one with more than 2^63 - 1 actions.
        """
        numbered = _numbered(env.action_space)
        gym.utils.RecordConstructorArgs.__init__(self)
        gym.ActionWrapper.__init__(self, env)
        self._starts: Actions = numbered.start
        self._sizes = tuple(numbered.nvec.tolist())
        self.action_space = spaces.Discrete(math.prod(self._sizes))

    def action(self, action: int) -> Actions:
        """The wrapped environment's action, int64 ``[n]``, that has this number.

        Raises:
            InvalidAction: no action has it.
        """
        if action not in self.action_space:
            raise _refusal(action, self.action_space)
        labels: Actions = np.array(np.unravel_index(int(action), self._sizes), np.int64)
        return labels + self._starts


class VectorFlattenAction(_VectorActionWrapper, gym.utils.RecordConstructorArgs):
    """`FlattenAction` for a vector environment: one number for every sub-environment.

    Example:
        >>> import gymnasium as gym
        >>> import rldf_gym
        >>> from rldf_gym.actions import VectorFlattenAction
        >>> envs = VectorFlattenAction(gym.make_vec("RLDF-v0", num_envs=3))
        >>> envs.action_space
        MultiDiscrete([8 8 8])
        >>> envs.actions(np.array([5, 0, 7]))
        array([[2, 1],
               [0, 0],
               [3, 1]])

    Change logs:
     * v0.1.0 - Initially added
    """

    def __init__(self, env: VectorEnv) -> None:
        """Wrap a vector environment whose sub-environments have MultiDiscrete actions.

        Raises:
            RLDFError: another action space, or one with more than 2^63 - 1 actions.
        """
        numbered = _numbered(env.single_action_space)
        gym.utils.RecordConstructorArgs.__init__(self)
        VectorActionWrapper.__init__(self, env)
        self._starts: Actions = numbered.start
        self._sizes = tuple(numbered.nvec.tolist())
        self.single_action_space = spaces.Discrete(math.prod(self._sizes))
        self.action_space = batch_space(self.single_action_space, env.num_envs)

    def actions(self, actions: ArrayLike) -> Actions:
        """The wrapped environment's actions int64 ``[n, k]`` that have these numbers ``[n]``.

        Raises:
            InvalidAction: there is no action for one of them.
        """
        numbers = np.asarray(actions)
        if numbers.shape != (self.num_envs,) or numbers.dtype.kind not in "iu":
            raise _refusal(actions, self.action_space)
        try:
            labels = np.unravel_index(numbers, self._sizes)
        except ValueError as error:
            raise _refusal(actions, self.action_space) from error
        return np.stack(labels, axis=1).astype(np.int64, copy=False) + self._starts


def _numbered(space: spaces.Space[Any]) -> "spaces.MultiDiscrete[Any]":
    """The space, if its actions can be numbered."""
    if not isinstance(space, spaces.MultiDiscrete) or space.nvec.ndim != 1:
        raise RLDFError(f"FlattenAction numbers MultiDiscrete actions; this space is {space}")
    n_actions = math.prod(space.nvec.tolist())
    if n_actions >= 2**63:
        raise RLDFError(f"{space} has {n_actions} actions, too many to be numbered in 64 bits")
    return space


def _integers(actions: ArrayLike, space: "spaces.MultiDiscrete[Any]") -> NDArray[np.integer[Any]]:
    """The same actions as an integer array ``[n, len(space)]``."""
    array = np.asarray(actions)
    if array.ndim != 2 or array.shape[1] != len(space.nvec) or array.dtype.kind not in "iu":
        raise _refusal(actions, space)
    return array


def _whole_numbers(action: Any, space: spaces.Space[Any]) -> tuple[int, ...]:
    array = action if isinstance(action, np.ndarray) else np.asarray(action)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise _refusal(action, space)
    return tuple(array.tolist())


def _refusal(action: Any, space: spaces.Space[Any]) -> InvalidAction:
    return InvalidAction(f"{action!r} is no action here; the action space is {space}")
