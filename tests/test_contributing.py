"""The examples for people who extend the project, and the files around them, work as they stand."""

import re
import sys
from pathlib import Path

import gymnasium as gym
import pytest
import yaml
from painted_world import painted_arguments

import rldf_gym
from rldf_agents import cli
from rldf_agents.cli import program
from rldf_gym.grammar import load_grammar

ROOT = Path(__file__).parents[1]
PAGES = ("CONTRIBUTING.md", "docs/bring_your_own.md")
EXAMPLE = re.compile(r"^```(?:python|lark)\n(?:#|//) (\S+)\n(.*?)^```", re.MULTILINE | re.DOTALL)

gym.register_envs(rldf_gym)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    """The working folder, with each example in the file that its first line names."""
    for page in PAGES:
        for name, text in EXAMPLE.findall((ROOT / page).read_text()):
            (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in ("my_rewards", "my_generator", "my_learner"):
        sys.modules.pop(name, None)


def test_the_generator_makes_images_for_the_environment():
    env = gym.make("RLDF-v0", generator="my_generator:Noise", perception="embedded", store=None)
    env.reset(seed=0)
    env.step(env.action_space.sample())
    assert env.render().shape == (64, 64, 3)


def test_the_grammar_compiles_and_its_objects_are_counted():
    grammar = load_grammar("my_animals.lark")
    assert grammar.n_states == 24
    assert grammar.counted_axis(grammar.axis_index("count")) == grammar.axis_index("animal")


def test_the_command_appears_beside_the_others(folder, monkeypatch, capsys):
    monkeypatch.setattr(cli, "__path__", [*cli.__path__, str(folder)])
    program.application.cache_clear()
    try:
        with pytest.raises(SystemExit) as exit_:
            cli.main(["prompts", "base", "--first", "2"])
    finally:
        program.application.cache_clear()
        sys.modules.pop("rldf_agents.cli.prompts", None)
    assert exit_.value.code == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_modules_stay_short():
    modules = list((ROOT / "src").rglob("*.py"))
    assert modules
    assert [each for each in modules if len(each.read_text().splitlines()) >= 350] == []


def test_the_citation_and_the_package_have_the_same_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == rldf_gym.__version__


def test_the_workflows_run_every_step_of_ci_on_every_supported_python():
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "checks.yml").read_text())["jobs"]
    steps = {"test", *jobs["check"]["strategy"]["matrix"]["step"]}
    assert steps == set(re.findall(r"^make (\S+)", (ROOT / ".ci" / "run").read_text(), re.M))
    classifiers = re.findall(r"Python :: (3\.\d+)", (ROOT / "pyproject.toml").read_text())
    assert jobs["test"]["strategy"]["matrix"]["python"] == classifiers


@pytest.mark.parametrize("form", sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml")))
def test_an_issue_form_has_what_github_requires(form):
    fields = yaml.safe_load(form.read_text())
    assert {"name", "description", "body"} <= set(fields)
    assert len({field["id"] for field in fields["body"]}) == len(fields["body"])


def test_the_hooks_run_the_commands_of_the_makefile():
    [repository] = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    makefile = (ROOT / "Makefile").read_text()
    for hook in repository["hooks"]:
        command = hook["entry"].replace(".venv/bin", "$(BIN)").removesuffix(" --fix")
        assert command in makefile


def test_the_learner_learns_from_the_environment():
    from my_learner import Greedy

    env = gym.make("RLDF-v0", **painted_arguments())
    learner = Greedy(env.observation_space, env.action_space)
    learner.learn(env, 60, seed=0)
    assert learner.counts.sum() == 60
    assert env.action_space.contains(learner.predict(env.reset()[0])[0])


def test_the_reward_is_that_of_the_environment():
    env = gym.make("RLDF-v0", **painted_arguments() | {"reward": "my_rewards:sure_scene"})
    env.reset(seed=0, options={"state": (0, 0, 0, 3)})
    _, reward, _, _, info = env.step([0, 1])
    scene = env.unwrapped.grammar.axis_index("scene")
    assert reward == pytest.approx(info["confidence"][scene])
    assert reward > 0
