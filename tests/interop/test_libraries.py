"""Other libraries train on RLDF-v0: their examples run, and what they train beats chance.

Every library is given the same task (``examples/interop/task.py``) and the real embedded world,
drawn once for all of them.
"""

import importlib
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples" / "interop"

pytestmark = [
    pytest.mark.interop,
    # The shipped target shows no one in action: any goal will do to learn from.
    pytest.mark.filterwarnings("ignore::rldf_gym.goal.LowSimilarityWarning"),
]


@pytest.mark.parametrize(
    "example",
    ["cleanrl_dqn", "cleanrl_ppo", "rllib_ppo", "tianshou_dqn", "torchrl_dqn"],
)
def test_training_for_a_few_hundred_steps_beats_chance(
    example, embedded_store, monkeypatch, capsys
):
    monkeypatch.syspath_prepend(EXAMPLES)
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    chance, trained = importlib.import_module(example).main(store=str(embedded_store))
    # An episode has 20 steps, so this is one more axis read right in every second picture.
    assert trained > chance + 10
    assert f"{chance:.1f} at random, {trained:.1f} trained" in capsys.readouterr().out
