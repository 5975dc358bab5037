"""Measure a synthetic data set against a real one and its distribution shifts (paper §4)."""

from rldf_agents.evaluation.evaluation import Evaluation, EvaluationSettings, evaluate
from rldf_agents.evaluation.features import FEATURES, FeatureExtractor
from rldf_agents.evaluation.pictures import LabelledFolder, open_labelled_folder

__all__ = [
    "FEATURES",
    "Evaluation",
    "EvaluationSettings",
    "FeatureExtractor",
    "LabelledFolder",
    "evaluate",
    "open_labelled_folder",
]
