"""The readings of all states of a grammar, searched without generating anything."""

from rldf_gym.atlas.atlas import Atlas, Match, default_path
from rldf_gym.atlas.atlas_file import AtlasError, AtlasIdentity

__all__ = ["Atlas", "AtlasError", "AtlasIdentity", "Match", "default_path"]
