"""Environments of Gymnasium whose version differs from one release to another."""

import gymnasium as gym


def newest(name: str) -> str:
    """Return the id of the newest version."""
    versions = [spec.version for spec in gym.registry.values() if spec.name == name]
    return f"{name}-v{max(versions)}"


CLIFF_WALKING = newest("CliffWalking")
TAXI = newest("Taxi")
