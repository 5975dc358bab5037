"""The benchmark of search, slide and ablate: what it counts, and how it reads the judge."""

import numpy as np
import pytest

from benchmarks import applications
from benchmarks.judge import Judge
from benchmarks.results import Results
from tools.embedded_world.judge import ANSWERS

TRUTH = {"noun": "dog", "scene": "park", "weather": "foggy"}


class SayingJudge:
    """Answers what a picture's first pixels say, one number for each axis of `TRUTH`."""

    answers = ANSWERS

    def probabilities(self, pictures):
        return {
            axis: np.eye(len(ANSWERS[axis]), dtype=np.float32)[pictures[:, 0, number, 0]]
            for number, axis in enumerate(TRUTH)
        }


def picture(**words) -> np.ndarray:
    said = {**TRUTH, **words}
    pixels = np.zeros((2, 3, 3), np.uint8)
    pixels[0, :, 0] = [ANSWERS[axis].index(word) for axis, word in said.items()]
    return pixels


@pytest.fixture
def commands():
    return applications._Commands(SayingJudge(), {"a.webp": TRUTH})


def test_the_judge_agrees_where_it_sees_the_truth_on_all_axes(commands):
    pictures = [picture(), picture(weather="clear"), picture(noun="duck")]
    assert commands._agree(pictures, TRUTH, ("noun", "scene")) == [True, True, False]
    assert commands._agree(pictures, TRUTH, tuple(TRUTH)) == [True, False, False]
    assert commands._agree([], TRUTH, tuple(TRUTH)) == []


def test_targets_come_with_what_they_were_rendered_from():
    targets = applications._targets()
    assert len(targets) == 300
    for truth in targets.values():
        assert all(value in ANSWERS[axis] for axis, value in truth.items())


def test_a_judge_without_weights_ends_the_run(monkeypatch, tmp_path):
    monkeypatch.setenv("RLDF_JUDGE", str(tmp_path / "none.safetensors"))
    with pytest.raises(SystemExit, match=r"applications: .* holds no judge"):
        applications.run(quick=True)


def test_a_concept_that_the_models_never_learned_is_left_out(commands, monkeypatch, tmp_path):
    truth = applications._targets()["058.webp"]
    monkeypatch.setitem(commands._targets, "058.webp", truth)
    monkeypatch.setenv("RLDF_STORE", str(tmp_path / "store.sqlite"))
    row = commands({"command": "ablate", "what": "gibberish", "target": "058.webp"})
    assert "never learned 'gibberish'" in row["left_out"]


def test_the_report_has_a_line_for_each_kind_of_case_and_says_what_was_left_out():
    rows = [
        {
            **{"command": "search", "what": "base", "on_target": True},
            **{"found": True, "verified": 8, "agree": [True] * 7 + [False], "direct": False},
        },
        {
            **{"command": "slide", "what": "weather and time_of_day", "on_target": True},
            **{"follows": {"weather": [True, False], "time_of_day": [True, True]}},
            "stays": [True, True],
        },
        {
            **{"command": "ablate", "what": "foggy", "on_target": True, "in_target": True},
            **{"vanished": True, "target_score": 0.9, "scores": [0.1], "plain_scores": [0.2]},
            **{"agree": [True], "gone": [True]},
        },
        {"command": "ablate", "what": "painting", "left_out": "never learned"},
    ]
    settings = {"variations": 8, "results": 8}
    found = applications.report(Results("applications", True, {}, settings, rows)).markdown
    assert "| base | 1 | 1.000 | 0.875 | 0.000 | 1.000 |" in found
    assert "| 1 | 0.500 | 1.000 | 1.000 | 1.000 |" in found
    assert "| foggy | 1 | 1.000 | 1.000 | 0.900 | 0.100 | 0.200 | 1.000 | 1.000 | 1.000 |" in found
    assert "Left out, painting: never learned" in found


def test_judge_and_stand_in_have_the_same_form():
    judge = Judge(ANSWERS)
    said = judge.probabilities(np.zeros((1, 128, 128, 3), np.uint8))
    assert set(TRUTH) <= set(said)
