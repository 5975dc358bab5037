"""An own grammar: the sentences in which to search."""

import gymnasium as gym
import typer

import rldf_gym
from rldf_agents import FactoredUCB
from rldf_agents.statistics import StatisticsRecorder
from rldf_gym.grammar import compile_grammar

FARM = """
start : "a photo of" count animal "and no people in" scene
count : "one" | "many"
animal: "duck" | "dog" | "sheep" | "horse"
scene : "park" | "farm" | "beach"
%ignore " "
"""


def main(target: str | None = None, steps: int = 60, seed: int = 0) -> None:
    """Search in 24 sentences; `grammar="farm.lark"` takes the same text from a file."""
    grammar = compile_grammar(FARM, "farm")
    print(f"rldf_gym {rldf_gym.__version__}: {grammar.n_states} sentences")
    for axis in grammar.axes:
        print(f"axis {axis.name} ({axis.role}): {', '.join(axis.values)}")
    env = gym.make("RLDF-v0", grammar=grammar, target=target)
    learner = FactoredUCB(env.observation_space, env.action_space)
    recorder = StatisticsRecorder()
    learner.learn(env, steps, seed=seed, callbacks=[recorder])
    run = recorder.statistics()
    print(f"{env.unwrapped.goal.prompt!r} reached {run.times_reached} times in {run.steps} steps")
    print(f"first after {run.states_to_goal} different images")


if __name__ == "__main__":
    typer.run(main)
