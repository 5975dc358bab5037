import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from painted_world import PaintedGenerator, load_grammar, paint, painted_perception
from PIL import Image
from rich.console import Console

from rldf_agents.applications import batch
from rldf_agents.applications.batch import search_pictures
from rldf_agents.applications.history import (
    HISTORY_FILE,
    LEARNER_FILE,
    History,
    StepLog,
    load_history,
)
from rldf_agents.applications.output import folders_for, output_dirs
from rldf_agents.applications.search import (
    SearchResult,
    SearchSettings,
    open_search,
    search_picture,
)
from rldf_agents.applications.trajectory import best_visits, significant_visits
from rldf_agents.errors import AgentError
from rldf_agents.learners import LEARNERS
from rldf_gym.errors import RLDFError
from rldf_gym.generation import GenerationError
from rldf_gym.goal import TargetError

GRAMMAR = load_grammar("base")
GOAL = (1, 5, 1, 3)
FILES = {
    *("result.json", "best.png", "trajectory.png", "report.html"),
    *(LEARNER_FILE, HISTORY_FILE),
}


def painted(**changes) -> SearchSettings:
    settings = {
        "grammar": GRAMMAR,
        "learner": "q_learning",
        "generator": PaintedGenerator(GRAMMAR),
        "perception": painted_perception(GRAMMAR),
        "store": None,
        **changes,
    }
    return SearchSettings(**settings)


def save_target(path: Path, goal=GOAL) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(paint(GRAMMAR, goal)).save(path)
    return path


def search_into(out: Path, *pictures: Path, **options) -> list[SearchResult]:
    settings = options.pop("settings", None) or painted()
    quiet = Console(quiet=True)
    names = [str(picture) for picture in pictures]
    saved = search_pictures(names, settings, out, "rldf search ...", console=quiet, **options)
    return [result for result, _ in saved]


def step(state, reward=0.0, *, episode=0, origin=(0, 0), similarity=0.0, goal=(0, 0)) -> StepLog:
    distance = sum(abs(a - b) for a, b in zip(state, goal, strict=True))
    at_goal = distance == 0
    return StepLog(
        episode, origin, state, reward, distance, similarity, 0, 0, at_goal, at_goal, 0, 0
    )


class StopAfter:
    """Presses Ctrl-C after so many steps."""

    def __init__(self, steps: int) -> None:
        self._steps = steps

    def on_training_start(self, learner, env, total_timesteps) -> None: ...

    def on_step(self, step) -> None:
        if step.timestep == self._steps:
            os.kill(os.getpid(), signal.SIGINT)

    def on_episode_end(self, episode) -> None: ...

    def on_training_end(self) -> None: ...


@pytest.fixture
def target(tmp_path) -> Path:
    return save_target(tmp_path / "targets" / "dogs.png")


@pytest.fixture(scope="module")
def found() -> SearchResult:
    return search_picture(paint(GRAMMAR, GOAL), painted())


class TestASearch:
    def test_draws_the_target_s_meaning(self, found):
        assert found.reached
        assert found.best[0].prompt == GRAMMAR.decode(np.array(GOAL))
        assert found.best[0].visit.similarity == pytest.approx(1.0)

    def test_says_in_report_and_json_that_a_target_is_outside(self, found, tmp_path):
        goal = replace(found.goal, outside=True, outside_score=3.0)
        replace(found, goal=goal).save(tmp_path)
        assert replace(found, goal=goal).verdict == "doubtful"
        assert "outside this world" in (tmp_path / "report.html").read_text()
        summary = json.loads((tmp_path / "result.json").read_text())
        assert (summary["outside"], summary["outside_score"]) == (True, 3.0)

    def test_stops_at_the_first_visit_to_the_goal(self, found):
        assert found.steps[-1].at_goal
        assert sum(m.at_goal for m in found.steps) == 1

    def test_takes_all_steps_when_it_keeps_learning(self, found):
        steps = found.statistics.steps + 50
        result = search_picture(paint(GRAMMAR, GOAL), painted(steps=steps, keep_learning=True))
        assert result.reached
        assert result.statistics.steps == steps

    def test_gives_up_after_its_steps(self):
        result = search_picture(paint(GRAMMAR, GOAL), painted(steps=3, learner="random"))
        assert not result.reached
        assert result.statistics.generations_to_goal is None

    def test_repeats_itself_under_its_seed(self, found):
        again = search_picture(paint(GRAMMAR, GOAL), painted())
        assert again.steps == found.steps

    def test_with_an_empty_store_draws_every_state_it_sees_once(self, found):
        assert found.generations == found.states_seen

    def test_draws_nothing_that_an_earlier_search_has_drawn(self, tmp_path):
        settings = painted(store=tmp_path / "store.sqlite")
        first = search_picture(paint(GRAMMAR, GOAL), settings)
        second = search_picture(paint(GRAMMAR, GOAL), settings)
        assert first.steps[-1].generations > 0
        assert second.steps[-1].generations == 0
        assert second.steps[-1].states_seen == first.steps[-1].states_seen

    def test_moves_as_the_action_mode_says(self):
        jumps, steps = (
            search_picture(
                paint(GRAMMAR, GOAL), painted(learner="random", steps=60, action_mode=mode)
            ).steps
            for mode in ("jump", "axis")
        )
        distances = [
            np.abs(np.subtract(step.origin, step.state)).max() for step in (*jumps, *steps)
        ]
        assert max(distances[: len(jumps)]) > 1
        assert max(distances[len(jumps) :]) == 1

    def test_names_an_unknown_action_mode(self):
        with pytest.raises(RLDFError, match="known: axis, joint, jump, tree"):
            search_picture(paint(GRAMMAR, GOAL), painted(action_mode="diagonal"))

    @pytest.mark.parametrize("learner", LEARNERS)
    @pytest.mark.parametrize("reward", ["multi_semantic", "partial_semantic", "clip"])
    def test_runs_with_every_learner_and_reward(self, learner, reward):
        settings = painted(learner=learner, reward=reward, steps=40)
        assert search_picture(paint(GRAMMAR, GOAL), settings).statistics.steps <= 40


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("learner", "dqn", "unknown learner 'dqn'; known: .*q_learning"),
        ("steps", 0, "steps is 0: give a whole number of at least 1"),
        ("seed", -1, "seed is -1"),
        ("seed", "x", "seed is 'x': give a whole number of at least 0"),
        ("generation_seed", 0.5, "generation_seed is 0.5"),
        ("max_episode_steps", 0, "max_episode_steps is 0"),
        ("stop_at", "goal", "unknown stop_at 'goal'; known: match, goal_state"),
        ("unrecognised_penalty", -1, "unrecognised_penalty is -1"),
        ("epsilon", 1.5, "epsilon is 1.5"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(setting, value, message):
    with pytest.raises((AgentError, RLDFError), match=message):
        painted(**{setting: value})


@pytest.mark.parametrize("learner", ["random", "noisy_diffusion_gradient"])
def test_epsilon_is_rejected_for_a_learner_that_has_none(learner):
    with pytest.raises(AgentError, match=f"'{learner}' has no epsilon: leave it out"):
        painted(learner=learner, epsilon=0.1)


class TestTheBestMoments:
    def test_come_in_order_of_reward_then_similarity(self):
        steps = [
            step((0, 1), 1.0, similarity=0.2),
            step((0, 2), 3.0, similarity=0.1),
            step((0, 3), 3.0, similarity=0.4),
        ]
        assert [visit.step for visit in best_visits(steps)] == [3, 2, 1]

    def test_name_every_state_once_at_its_first_visit(self):
        steps = [step((0, 1), 1.0), step((0, 2), 0.0), step((0, 1), 1.0)]
        assert [visit.step for visit in best_visits(steps)] == [1, 2]


class TestTheTrajectory:
    def test_shows_the_start_every_approach_and_the_end(self):
        steps = [
            step((0, 4), origin=(0, 5)),
            step((0, 5), origin=(0, 4)),
            step((0, 4), origin=(0, 5)),
            step((0, 3), origin=(0, 4)),
            step((1, 3), origin=(0, 3)),
        ]
        visit = significant_visits(steps, (0, 0))
        assert [each.step for each in visit] == [None, 1, 4, 5]
        assert [each.distance for each in visit] == [5, 4, 3, 4]

    def test_is_of_the_episode_that_came_closest(self):
        steps = [
            step((0, 3), origin=(0, 4)),
            step((0, 1), origin=(0, 2), episode=1),
            step((0, 2), origin=(0, 3), episode=2),
        ]
        assert [each.step for each in significant_visits(steps, (0, 0))] == [None, 2]

    def test_among_equals_is_of_the_episode_that_came_from_the_farthest(self):
        near = [step((0, 0), origin=(0, 1))]
        far = [
            step((0, 1), origin=(0, 2), episode=1),
            step((0, 0), origin=(0, 1), episode=1),
        ]
        assert [each.step for each in significant_visits(near + far, (0, 0))] == [None, 2, 3]

    def test_keeps_first_and_last_of_a_long_way(self):
        steps = [step((0, 30 - i), origin=(0, 31 - i)) for i in range(1, 31)]
        visit = significant_visits(steps, (0, 0), at_most=8)
        assert len(visit) == 8
        assert (visit[0].step, visit[-1].step) == (None, 30)


class TestTheHistory:
    def test_comes_back_from_its_file_as_it_was(self, tmp_path):
        history = History({"seed": 3}, [step((0, 4), 1.5), step((0, 3), -1.0)], seconds=2.5)
        history.save(tmp_path / HISTORY_FILE)
        assert load_history(tmp_path / HISTORY_FILE) == history

    def test_without_steps_comes_back_too(self, tmp_path):
        History({"seed": 3}).save(tmp_path / HISTORY_FILE)
        assert load_history(tmp_path / HISTORY_FILE).steps == []

    def test_that_is_damaged_is_rejected(self, tmp_path):
        (tmp_path / HISTORY_FILE).write_bytes(b"not a history")
        with pytest.raises(AgentError, match="damaged"):
            load_history(tmp_path / HISTORY_FILE)


class TestTheOutputFolder:
    def test_of_one_picture_holds_its_files(self, tmp_path, target):
        search_into(tmp_path / "out", target)
        assert {file.name for file in (tmp_path / "out").iterdir()} == FILES

    def test_of_several_pictures_holds_a_folder_for_each_and_an_index(self, tmp_path, target):
        clash = save_target(tmp_path / "others" / "dogs.png", (0, 2, 0, 1))
        search_into(tmp_path / "out", target, clash)
        assert {p.name for p in (tmp_path / "out").iterdir()} == {"dogs", "dogs-2", "index.html"}
        assert {file.name for file in (tmp_path / "out" / "dogs-2").iterdir()} == FILES

    def test_names_never_clash_whatever_the_pictures_are_called(self):
        pictures = ["a.png", "b/A.jpg", "a-2.png", "index.html.png"]
        names = [folder.name.casefold() for folder in folders_for(pictures, Path("out"))]
        assert len({*names, "index.html"}) == 5

    def test_that_holds_something_is_rejected_and_left_alone(self, tmp_path, target):
        out = tmp_path / "out"
        out.mkdir()
        (out / "thesis.txt").write_text("mine")
        generator = PaintedGenerator(GRAMMAR)
        with pytest.raises(AgentError, match=r"exists and is not empty.*--overwrite"):
            search_into(out, target, settings=painted(generator=generator))
        assert [file.name for file in out.iterdir()] == ["thesis.txt"]
        assert not generator.calls

    def test_is_replaced_on_request_but_for_what_is_not_ours(self, tmp_path, target):
        out = tmp_path / "out"
        out.mkdir()
        (out / "thesis.txt").write_text("mine")
        (out / "result.json").write_text("old")
        search_into(out, target, overwrite=True)
        assert {file.name for file in out.iterdir()} == {*FILES, "thesis.txt"}
        assert json.loads((out / "result.json").read_text())["reached"]

    def test_that_is_a_file_is_rejected(self, tmp_path, target):
        (tmp_path / "out").write_text("a file")
        with pytest.raises(AgentError, match="is a file"):
            search_into(tmp_path / "out", target)

    def test_is_not_left_behind_when_nothing_was_written(self, tmp_path):
        with pytest.raises(RuntimeError), output_dirs([tmp_path / "a" / "b"]):
            raise RuntimeError
        assert not list(tmp_path.iterdir())

    def test_is_not_made_when_one_of_several_pictures_is_bad(self, tmp_path, target):
        generator = PaintedGenerator(GRAMMAR)
        with pytest.raises(TargetError, match=r"missing\.png does not exist"):
            search_into(
                tmp_path / "out",
                target,
                tmp_path / "missing.png",
                settings=painted(generator=generator),
            )
        assert not (tmp_path / "out").exists()
        assert not generator.calls

    def test_is_not_made_when_the_generator_is_unknown(self, tmp_path, target):
        with pytest.raises(GenerationError, match="known: embedded"):
            search_into(tmp_path / "out", target, settings=painted(generator="dalle"))
        assert not (tmp_path / "out").exists()


class TestAnInterruptedSearch:
    def interrupt(self, folder: Path, settings: SearchSettings, steps: int) -> None:
        folder.mkdir(exist_ok=True)
        with (
            open_search(paint(GRAMMAR, GOAL), settings) as search,
            pytest.raises(KeyboardInterrupt),
        ):
            search.run(folder, [StopAfter(steps)])

    def test_goes_on_as_if_it_had_never_stopped(self, tmp_path, target, found):
        settings = painted(store=tmp_path / "store.sqlite")
        self.interrupt(tmp_path / "out", settings, steps=120)
        [result] = search_into(tmp_path / "out", target, settings=settings, resume=True)
        assert result.steps == found.steps

    def test_keeps_learner_and_history_only(self, tmp_path):
        self.interrupt(tmp_path / "out", painted(), steps=7)
        assert {file.name for file in (tmp_path / "out").iterdir()} == {LEARNER_FILE, HISTORY_FILE}
        assert len(load_history(tmp_path / "out" / HISTORY_FILE).steps) == 7

    def test_is_not_resumed_as_another_search(self, tmp_path, target):
        self.interrupt(tmp_path / "out", painted(), steps=7)
        with pytest.raises(AgentError, match="another search: reward 'multi_semantic' there"):
            search_into(tmp_path / "out", target, settings=painted(reward="clip"), resume=True)

    def test_cannot_be_resumed_where_there_is_none(self, tmp_path, target):
        with pytest.raises(AgentError, match="no search to resume"):
            search_into(tmp_path / "out", target, resume=True)
        assert not (tmp_path / "out").exists()


def test_a_finished_search_resumed_with_more_steps_learns_on(tmp_path, target):
    settings = painted(store=tmp_path / "store.sqlite", steps=20, keep_learning=True)
    search_into(tmp_path / "out", target, settings=settings)
    more = painted(store=tmp_path / "store.sqlite", steps=50, keep_learning=True)
    [result] = search_into(tmp_path / "out", target, settings=more, resume=True)
    assert result.statistics.steps == 50


def test_the_models_serve_all_pictures(tmp_path, target):
    other = save_target(tmp_path / "targets" / "sheep.png", (0, 6, 0, 1))
    generator = PaintedGenerator(GRAMMAR)
    results = search_into(
        tmp_path / "out",
        target,
        other,
        settings=painted(generator=generator, steps=10, store=tmp_path / "store.sqlite"),
    )
    assert all(result.generator is generator for result in results)


def test_another_learner_beside_the_chosen_one_is_compared_in_the_report(tmp_path, monkeypatch):
    monkeypatch.setattr(batch, "MOST_IMAGES_BESIDE", 5)
    target = save_target(tmp_path / "a.png")
    [result] = search_into(tmp_path / "out", target, beside="random")
    assert result.beside.settings.learner_name == "random"
    assert result.beside.generations in (5, 6)  # a step to a new episode may generate two
    page = (tmp_path / "out" / "report.html").read_text()
    assert "random, beside it" in page
    assert page.count("<svg") == 2
