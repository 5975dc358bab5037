"""A whole world, drawn and read once and for all, and searched without drawing anything."""

from rldf_gym.atlas.atlas import Atlas, Match, default_path
from rldf_gym.atlas.atlas_file import AtlasError, AtlasIdentity

__all__ = ["Atlas", "AtlasError", "AtlasIdentity", "Match", "default_path"]
