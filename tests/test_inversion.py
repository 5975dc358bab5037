"""The benchmark of prompt inversion: targets, scores by the judge, and the conclusions."""

import csv
import io

import numpy as np
import pytest
import torch

from benchmarks import inversion, results
from benchmarks.inversion.measurement import Measurement, score
from benchmarks.inversion.report import report
from benchmarks.inversion.targets import GROUPS, STRATA, DescribedTarget, load_target, truths
from benchmarks.judge import Judge
from tools.embedded_world.judge import ANSWERS

TITLES = {"rldf": "RLDF search", "reading": "direct reading", "tpe": "Optuna's TPE"}
KINDS = {"rldf": "RLDF", "reading": "no search", "tpe": "black-box search"}


@pytest.fixture(scope="module")
def judge() -> Judge:
    torch.manual_seed(0)
    return Judge(ANSWERS)


class TestTheTargets:
    @pytest.mark.parametrize("name", STRATA)
    def test_show_what_the_judge_has_words_for(self, judge, name):
        target = load_target(STRATA[name], 0)
        assert target.picture.dtype == np.uint8
        assert target.picture.shape[2] == 3
        for truth in target.truths:
            assert all(value in judge.answers[axis] for axis, value in truth.items())

    def test_are_changed_by_a_shift_and_keep_their_truth(self):
        plain, dark = (load_target(STRATA[name], 1) for name in ("base", "base, dark"))
        assert plain.truths == dark.truths
        assert dark.picture.mean() < plain.picture.mean() / 2

    def test_with_two_things_are_right_in_either_order(self):
        first, second = truths("objects", "a photo of one dog and many car in park")
        assert (first["noun"], first["second_noun"]) == ("dog", "car")
        assert (second["noun"], second["frequency"]) == ("car", "many")
        assert first["scene"] == second["scene"] == "park"

    def test_belong_to_the_groups_of_the_report(self):
        assert {stratum.group for stratum in STRATA.values()} == set(GROUPS)


class SureJudge:
    """Answers "one dog" with certainty, and knows two features."""

    def __init__(self):
        self.answers = {"noun": ("cat", "dog"), "frequency": ("one", "many")}

    def probabilities(self, pictures):
        return {"noun": np.array([[0.1, 0.9]]), "frequency": np.array([[0.4, 0.6]])}

    def features(self, pictures):
        return np.array([[1.0, 0.0]]) if pictures.any() else np.array([[0.6, 0.8]])


class TestAScore:
    picture = np.ones((4, 4, 3), np.uint8)

    def scored(self, *found):
        target = DescribedTarget(np.zeros((4, 4, 3), np.uint8), found)
        return score(SureJudge(), self.picture, target)

    def test_is_the_probability_of_the_true_values(self):
        found = self.scored({"noun": "dog", "frequency": "one"})
        assert found["axes"] == {"noun": 0.9, "frequency": 0.4}
        assert found["arithmetic"] == pytest.approx(0.65)
        assert found["geometric"] == pytest.approx(0.6)
        assert found["similarity"] == pytest.approx(0.6)
        assert not found["all_right"]

    def test_takes_the_better_of_two_right_readings(self):
        found = self.scored({"noun": "cat", "frequency": "one"}, {"noun": "dog"})
        assert found["axes"] == {"noun": 0.9}
        assert found["all_right"]


def rows(**scores):
    """Two strata of three targets; scores by method."""
    return [
        {
            **{"stratum": stratum, "target": target, "method": method, "seed": target},
            "answers": {
                budget: {
                    **{"prompt": "a", "generation_seed": 0, "pictures": 1, "matches": True},
                    **{"axes": {"noun": value}, "arithmetic": value, "geometric": value},
                    **{"all_right": value > 0.5, "similarity": value},
                }
                for budget in (("0", "1", "30") if method == "reading" else ("1", "30"))
            },
        }
        for stratum in ("base", "base, dark")
        for method, values in scores.items()
        for target, value in enumerate(values)
    ]


def made(kept):
    groups = {name: STRATA[name].group for name in ("base", "base, dark")}
    settings = {"budgets": [0, 1, 30], "targets": 3, "titles": TITLES, "kinds": KINDS}
    return report(results.Results("inversion", False, {}, {**settings, "groups": groups}, kept))


class TestTheReport:
    def test_says_where_a_search_helps(self):
        found = made(rows(rldf=[0.9, 0.8, 0.9], reading=[0.2, 0.1, 0.2], tpe=[0.5] * 3))
        assert found.markdown.count("search helps") == 2
        assert "\nMet." in found.markdown
        assert found.markdown.index("**RLDF search**") < found.markdown.index("| direct reading")

    def test_says_where_direct_reading_is_as_good(self):
        found = made(rows(rldf=[0.9, 0.8, 0.7], reading=[0.9, 0.8, 0.7], tpe=[0.1] * 3))
        assert found.markdown.count("direct reading is as good, with one picture") == 2
        assert "Missed: the interval is not above 0 for direct reading." in found.markdown

    def test_leaves_methods_out_with_their_reason(self):
        kept = rows(rldf=[0.9] * 3, reading=[0.9] * 3)
        kept += [
            {"stratum": "base", "target": t, "method": "tpe", "seed": t, "left_out": "no Optuna"}
            for t in range(3)
        ]
        assert "- Optuna's TPE: no Optuna" in made(kept).markdown

    def test_has_a_table_of_every_stratum_method_and_budget(self):
        found = made(rows(rldf=[0.9, 0.8, 0.7], reading=[0.9] * 3))
        table = list(csv.DictReader(io.StringIO(found.tables[""])))
        assert len(table) == 2 * (2 + 3)
        assert {row["targets"] for row in table} == {"3"}
        assert table[0]["geometric"] == "0.8000"


def test_a_judge_without_weights_ends_the_run_with_the_command_to_train_one(monkeypatch, tmp_path):
    monkeypatch.setenv("RLDF_JUDGE", str(tmp_path / "none.safetensors"))
    with pytest.raises(SystemExit, match="train one with"):
        inversion.run(quick=True)


@pytest.mark.slow
def test_a_case_is_measured_at_every_budget(judge, tmp_path, monkeypatch):
    monkeypatch.setenv("RLDF_STORE", str(tmp_path / "store.sqlite"))
    measurement = Measurement(judge, (0, 1, 2))
    case = {"stratum": "base", "target": 1, "seed": 0}
    read = measurement({**case, "method": "reading"})
    searched = measurement({**case, "method": "coordinate"})
    again = measurement({**case, "method": "coordinate"})
    measurement.close()
    assert set(read["answers"]) == {"0", "1", "2"}
    assert set(searched["answers"]) == {"1", "2"}
    assert searched == again
    assert searched["answers"]["2"]["pictures"] == 2
