"""Generate and read every state once, export a tabular MDP, and solve it without any model."""

from pathlib import Path

import numpy as np
import typer

from rldf_agents.applications.atlas_export import export_npz
from rldf_gym.atlas import Atlas
from rldf_gym.factory import make_evaluator
from rldf_gym.grammar import load_grammar


def main(grammar: str = "base", out: str = "world.npz", seed: int = 0) -> None:
    """Export the GRAMMAR's world to OUT (the first time takes a minute), and plan in it."""
    evaluator = make_evaluator(load_grammar(grammar), "embedded", "auto", "default")
    atlas = Atlas.build(evaluator, Path(out).with_suffix(".atlas"))
    summary = export_npz(evaluator, atlas, Path(out), overwrite=True)
    evaluator.store.close()
    print(f"{summary['states']} states; arrays: {', '.join(summary['arrays'])}")

    world = np.load(out)
    after, goal = world["next_states"], world["goals"][0]
    # Less than 0 in every state, so that the shortest way to the goal is the best one.
    rewards = world["rewards"][0, 0] - world["rewards"].max() - 1
    values = np.zeros(len(after))
    for _ in range(100):
        action_values = rewards[after] + np.where(after == goal, 0, values[after])
        values = action_values.max(axis=1)
    state = np.random.default_rng(seed).integers(len(after))
    print(world["prompts"][state])
    while state != goal:
        action = action_values[state].argmax()
        state = after[state, action]
        print(f"{world['action_meanings'][action]:>15}: {world['prompts'][state]}")


if __name__ == "__main__":
    typer.run(main)
