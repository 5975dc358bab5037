"""The ``infos`` of vector environments in Gymnasium's form: an array and a mask for each key.

Array ``key`` has an entry for every sub-environment, and mask ``_key`` marks the valid ones. Where
an episode ended in a step that also reset the sub-environment, ``final_obs`` and ``final_info``
(in the same form) describe its end.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Infos = dict[str, Any]
Mask = NDArray[np.bool_]


def with_masks(columns: Mapping[str, NDArray[Any]], n: int) -> Infos:
    """Return the infos of ``n`` sub-environments, all of them valid."""
    valid = np.ones(n, np.bool_)
    infos: Infos = dict(columns)
    for key in columns:
        infos[f"_{key}"] = valid.copy()
    return infos


def scatter(infos: Infos, mask: Mask) -> Infos:
    """Return infos ``[k]`` of sub-environments in ``mask [n]`` as infos ``[n]``, 0 elsewhere."""
    wide: Infos = {}
    for key, values in infos.items():
        empty = None if values.dtype == object else 0
        wide[key] = np.full((len(mask), *values.shape[1:]), empty, values.dtype)
        wide[key][mask] = values
    return wide


def add_final(infos: Infos, observations: NDArray[Any], final: Infos, ended: Mask) -> None:
    """Add the ends of episodes.

    Args:
        infos: of ``n`` sub-environments, changed in place.
        observations: ``[k, ...]``, of the ``k`` sub-environments whose episode ended.
        final: the infos ``[k]`` that go with them.
        ended: bool ``[n]``, which these are.
    """
    final_obs = np.full(len(ended), None, object)
    for number, observation in zip(np.flatnonzero(ended), observations, strict=True):
        final_obs[number] = observation
    infos["final_obs"], infos["_final_obs"] = final_obs, ended.copy()
    infos["final_info"], infos["_final_info"] = scatter(final, ended), ended.copy()
