"""An environment that shows what a learner may see and nothing else: a test environment."""

from typing import Any

import gymnasium as gym


class StrippedEnv(gym.Env[Any, Any]):
    """Passes on observations, rewards, ends and spaces; tells no info and hides what it wraps."""

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        self.observation_space, self.action_space = env.observation_space, env.action_space
        self._reset, self._step = env.reset, env.step

    @property
    def unwrapped(self) -> Any:
        raise AssertionError("a learner looked behind the environment")

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        return self._reset(seed=seed, options=options)[0], {}

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        return *self._step(action)[:4], {}
