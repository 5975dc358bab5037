"""Specifications of environments that JSON can hold."""

import base64
import dataclasses
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import AutoresetMode

from rldf_gym.goal import load_picture
from rldf_gym.registry import is_object_name, resolve


class HasJSONSpec:
    """An environment whose ``spec`` is a `JSONSpec`."""

    _spec: "JSONSpec | None" = None

    @property
    def spec(self) -> EnvSpec | None:
        """How ``gym.make`` or ``gym.make_vec`` made this environment."""
        return self._spec

    @spec.setter
    def spec(self, spec: EnvSpec | None) -> None:
        self._spec = JSONSpec.of(spec)


class JSONSpec(EnvSpec):
    """An `EnvSpec` whose arguments JSON can hold.

    A target in memory becomes a ``data:`` URL, a path a string, a function of a module
    ``package.module:function``.
    """

    @classmethod
    def of(cls, spec: EnvSpec | None) -> "JSONSpec | None":
        """Return the same specification as a `JSONSpec`."""
        if spec is None:
            return None
        fields = [field.name for field in dataclasses.fields(spec) if field.init]
        return cls(**{name: getattr(spec, name) for name in fields})

    def to_json(self) -> str:
        """Return the specification as JSON, for `EnvSpec.from_json`.

        Raises:
            TypeError: an argument that has no name, such as a ready generator.
            ValueError: a lambda, for the same reason.
        """
        kwargs = {name: _plain(name, value) for name, value in self.kwargs.items()}
        return EnvSpec.to_json(dataclasses.replace(self, kwargs=kwargs))


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    if name == "target" and value is not None and not isinstance(value, str):
        return _data_url(value)
    if isinstance(value, AutoresetMode):
        return value.value
    if isinstance(value, np.generic):
        return value.item()
    object_name = f"{getattr(value, '__module__', '')}:{getattr(value, '__qualname__', '')}"
    if callable(value) and is_object_name(object_name) and resolve(name, object_name, {}) is value:
        return object_name
    json.dumps(value)  # dataclasses.asdict would change a dataclass without a word
    return value


def _data_url(target: Any) -> str:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(load_picture(target)).save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
