import importlib
import json
import subprocess
import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

from benchmarks import results
from benchmarks.__main__ import BENCHMARKS, main
from benchmarks.convergence import NoisyFeedback
from benchmarks.dynamic_programming import (
    expected_return,
    from_deterministic_env,
    from_transition_table,
    optimal_action_values,
    optimal_return,
)
from benchmarks.results import Report, measure, publish, read_results

COMMITTED = results.RESULTS
CASES = [{"learner": learner, "seed": seed} for learner in ("a", "b") for seed in range(3)]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    """Where results go instead of benchmarks/results."""
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    return tmp_path


class Measuring:
    """Measures cases, records which, and is interrupted once where the test wants it."""

    def __init__(self, interrupted_at: int | None = None) -> None:
        self.measured: list[dict] = []
        self._interrupted_at = interrupted_at

    def __call__(self, case: dict) -> dict:
        if len(self.measured) == self._interrupted_at:
            self._interrupted_at = None
            raise KeyboardInterrupt
        self.measured.append(case)
        return {"cost": 10 * case["seed"]}


def run(measuring: Measuring, quick: bool = False, **settings) -> results.Results:
    return measure("trial", settings, CASES, measuring, quick=quick)


def test_rows_hold_the_case_and_what_was_measured_in_the_order_of_the_cases():
    assert run(Measuring()).rows == [{**case, "cost": 10 * case["seed"]} for case in CASES]


def test_a_run_that_was_interrupted_goes_on_and_measures_nothing_twice():
    measuring = Measuring(interrupted_at=4)
    with pytest.raises(KeyboardInterrupt):
        run(measuring)
    assert measuring.measured == CASES[:4]
    resumed = run(measuring)
    assert measuring.measured == CASES
    assert resumed.rows == run(Measuring()).rows


def test_a_row_cut_short_by_a_crash_is_measured_again(folder):
    measuring = Measuring(interrupted_at=3)
    with pytest.raises(KeyboardInterrupt):
        run(measuring)
    partial = folder / "trial.partial.jsonl"
    partial.write_text(partial.read_text()[:-20])
    run(measuring)
    assert measuring.measured == [*CASES[:3], *CASES[2:]]


def test_rows_of_other_settings_are_not_kept():
    measuring = Measuring(interrupted_at=4)
    with pytest.raises(KeyboardInterrupt):
        run(measuring, steps=10)
    run(measuring, steps=20)
    assert measuring.measured == [*CASES[:4], *CASES]


def test_rows_of_other_code_are_not_kept(monkeypatch):
    measuring = Measuring(interrupted_at=4)
    with pytest.raises(KeyboardInterrupt):
        run(measuring)
    monkeypatch.setattr(results, "code_fingerprint", lambda name: "changed")
    run(measuring)
    assert measuring.measured == [*CASES[:4], *CASES]


def test_the_code_of_each_benchmark_has_a_fingerprint_of_its_own():
    fingerprints = {results.code_fingerprint(name) for name in BENCHMARKS}
    assert len(fingerprints) == len(BENCHMARKS)


@pytest.mark.parametrize("shared", results._SHARED)
def test_the_modules_that_benchmarks_share_are_part_of_every_fingerprint(shared, monkeypatch):
    module = Path(results.__file__).parent / shared
    code, read = module.read_bytes(), Path.read_bytes
    before = results.code_fingerprint("convergence")
    monkeypatch.setattr(Path, "read_bytes", lambda p: code + b"#" if p == module else read(p))
    assert results.code_fingerprint("convergence") != before


def test_a_finished_run_leaves_no_partial_file(folder):
    run(Measuring())
    assert [path.name for path in folder.iterdir()] == ["trial.json"]


def test_a_quick_run_leaves_full_results_alone(folder):
    full = run(Measuring(), steps=1000)
    before = (folder / "trial.json").read_bytes()
    quick = run(Measuring(), quick=True, steps=1)
    publish(quick, Report("quick"))
    assert (folder / "trial.json").read_bytes() == before
    assert not (folder / "trial.md").exists()
    assert read_results("trial", quick=False) == full
    assert read_results("trial", quick=True).settings == {"steps": 1}


def test_quick_results_and_partial_files_are_ignored_by_git():
    ignored = (COMMITTED.parents[1] / ".gitignore").read_text().splitlines()
    assert {"benchmarks/results/quick/", "benchmarks/results/*.partial*"} <= set(ignored)


def test_two_cases_that_are_the_same_are_rejected():
    with pytest.raises(ValueError, match="two cases are the same"):
        measure("trial", {}, [{"seed": 0}, {"seed": 0}], Measuring(), quick=False)


def test_the_report_names_the_machine_and_everything_that_matters(folder):
    text = publish(run(Measuring()), Report("# Trial")).read_text()
    machine = json.loads((folder / "trial.json").read_text())["machine"]
    assert text.startswith("# Trial\n")
    for fact in (machine["processor"], machine["date"], machine["python"], machine["system"]):
        assert str(fact) in text
    for package, version in machine["versions"].items():
        assert f"{package} {version}" in text


def test_tables_and_figures_lie_beside_the_report(folder):
    from matplotlib.figure import Figure

    figure = Figure()
    figure.subplots().plot([0, 1])
    publish(run(Measuring()), Report("text", {"": "a\n1\n", "more": "b\n2\n"}, {"": figure}))
    assert (folder / "trial.csv").read_text() == "a\n1\n"
    assert (folder / "trial_more.csv").read_text() == "b\n2\n"
    assert (folder / "trial.png").read_bytes().startswith(b"\x89PNG")


def test_a_figure_that_cannot_be_drawn_leaves_the_old_one(folder):
    from matplotlib.figure import Figure

    good, bad = Figure(), Figure()
    bad.text(0.5, 0.5, r"$\unknown$")
    measured = run(Measuring())
    publish(measured, Report("text", figures={"": good}))
    before = (folder / "trial.png").read_bytes()
    with pytest.raises(ValueError, match="unknown"):
        publish(measured, Report("text", figures={"": bad}))
    assert (folder / "trial.png").read_bytes() == before


def test_an_unknown_name_is_answered_with_the_known_ones(capsys):
    with pytest.raises(SystemExit) as exit_:
        main(["nothing_of_that_name"])
    assert exit_.value.code == 2
    printed = capsys.readouterr().err
    assert all(name in printed for name in BENCHMARKS)


def test_a_benchmark_that_lacks_something_is_left_out_of_all_and_rejected_alone(
    monkeypatch, capsys
):
    def lacks(quick):
        raise results.UnavailableError("needs a browser")

    monkeypatch.setattr("benchmarks.__main__.BENCHMARKS", {"page": "what it measures"})
    monkeypatch.setattr("benchmarks.page.run", lacks)
    assert main(["all", "--quick"]) == 0
    assert "page is left out: it needs a browser" in capsys.readouterr().err
    with pytest.raises(SystemExit) as exit_:
        main(["page"])
    assert exit_.value.code == 2
    assert "page needs a browser" in capsys.readouterr().err


def test_a_report_of_what_was_never_measured_is_rejected_in_one_line(capsys):
    with pytest.raises(SystemExit) as exit_:
        main(["classic", "--report"])
    assert exit_.value.code == 2
    assert "classic was not measured yet" in capsys.readouterr().err


def test_the_command_line_answers_before_anything_heavy_is_imported():
    program = "import sys, benchmarks.__main__; print({'gymnasium', 'torch'} & set(sys.modules))"
    root = Path(results.__file__).parents[1]
    printed = subprocess.check_output([sys.executable, "-c", program], text=True, cwd=root)
    assert printed.strip() == "set()"


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_benchmark_runs_and_reports(name):
    benchmark = importlib.import_module(f"benchmarks.{name}")
    assert callable(benchmark.run)
    assert callable(benchmark.report)
    assert (Path(results.__file__).parent / "README.md").read_text().count(f"`{name}`") >= 1


@pytest.mark.parametrize("name", sorted(path.stem for path in COMMITTED.glob("*.json")))
def test_the_committed_report_is_what_its_rows_give(name, folder):
    (folder / f"{name}.json").write_bytes((COMMITTED / f"{name}.json").read_bytes())
    assert main([name, "--report"]) == 0
    assert (folder / f"{name}.md").read_text() == (COMMITTED / f"{name}.md").read_text()


def test_value_iteration_knows_the_length_of_the_cliff():
    assert optimal_return(from_transition_table(gym.make("CliffWalking-v1"))) == -13


def test_value_iteration_knows_how_often_slippery_ice_is_crossed():
    lake = gym.make("FrozenLake-v1", is_slippery=True)
    assert optimal_return(from_transition_table(lake)) == pytest.approx(14 / 17)


def test_the_greedy_policy_of_optimal_values_earns_the_optimal_return():
    lake = from_transition_table(gym.make("FrozenLake-v1", is_slippery=True))
    policy = optimal_action_values(lake, gamma=0.99).argmax(axis=1)
    assert expected_return(lake, policy) == pytest.approx(optimal_return(lake))


def test_a_policy_that_goes_in_circles_pays_for_every_step_up_to_the_horizon():
    cliff = from_transition_table(gym.make("CliffWalking-v1"))
    into_the_wall = np.full(48, 3)
    assert expected_return(cliff, into_the_wall, horizon=70) == -70


class Corridor(gym.Env):
    """Five places in a row, one to the right each step; the last one ends the episode."""

    observation_space = gym.spaces.MultiDiscrete([5])
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place = int(options["state"][0]) if options else 0
        return np.array([self.place]), {}

    def step(self, action):
        self.place = min(max(self.place + (1 if action else -1), 0), 4)
        return np.array([self.place]), float(self.place), self.place == 4, False, {}


def test_a_deterministic_environment_is_read_by_taking_every_action_once():
    process = from_deterministic_env(Corridor(), np.array([4]))
    values = optimal_action_values(process, gamma=0.5)
    assert values[3].tolist() == pytest.approx([14 / 3, 4])  # to and fro pays more than to end
    assert values[4].tolist() == [0, 0]
    assert process.starts.tolist() == [0.25, 0.25, 0.25, 0.25, 0]


def corridors(deviation: float) -> NoisyFeedback:
    return NoisyFeedback(gym.vector.SyncVectorEnv([Corridor] * 4), deviation)


def noise(env: NoisyFeedback, seed: int, steps: int) -> np.ndarray:
    """What is added to the rewards of walking against the wall, which are 0."""
    env.reset(seed=seed)
    return np.array([env.step(np.zeros(4, np.int64))[1] for _ in range(steps)])


def test_noise_of_feedback_has_mean_zero_and_the_deviation_it_was_given():
    drawn = noise(corridors(deviation=2.0), seed=0, steps=2000)
    assert drawn.mean() == pytest.approx(0.0, abs=0.1)
    assert drawn.std() == pytest.approx(2.0, abs=0.1)


def test_noise_of_feedback_repeats_itself_under_its_seed():
    env = corridors(deviation=1.0)
    assert np.array_equal(noise(env, seed=3, steps=5), noise(env, seed=3, steps=5))
    assert not np.array_equal(noise(env, seed=3, steps=5), noise(env, seed=4, steps=5))
