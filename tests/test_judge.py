"""The benchmarks' judge: training, weights, answers, command line."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.judge import AXES, Judge, JudgeError, load_judge
from benchmarks.judge.__main__ import main as judge_command
from rldf_gym.grammar import load_grammar
from tests.plain_renders import labels_of, plain_corpus
from tools.embedded_world.batches import PictureSource
from tools.embedded_world.corpus import (
    GRAMMARS,
    Corpus,
)
from tools.embedded_world.cutouts import NOUNS
from tools.embedded_world.evaluate import judged_states
from tools.embedded_world.judge import ANSWERS, answer_key, judge_loss
from tools.embedded_world.styles import STYLE_NAMES
from tools.embedded_world.training_loop import StepRandom


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return plain_corpus()


@pytest.mark.slow
def test_the_judge_learns_from_labels_and_keeps_its_weights(corpus, tmp_path):
    torch.manual_seed(0)
    judge = Judge(ANSWERS)
    batch = PictureSource(corpus).sample(StepRandom.of(0, 0), 16, "cpu")
    before = judge_loss(judge(batch.pictures), batch)
    optimizer = torch.optim.AdamW(judge.parameters(), 2e-3)
    for _ in range(8):
        optimizer.zero_grad()
        judge_loss(judge(batch.pictures), batch).backward()
        optimizer.step()
    assert judge_loss(judge(batch.pictures), batch) < 0.5 * before
    judge.save(tmp_path / "judge.safetensors")
    assert (tmp_path / "judge.safetensors").stat().st_size < 6e6
    kept = load_judge(tmp_path / "judge.safetensors").probabilities(corpus.pictures[:4])
    for axis, found in judge.probabilities(corpus.pictures[:4]).items():
        np.testing.assert_allclose(kept[axis], found, atol=0.02)


def test_the_answer_key_says_no_for_a_thing_that_is_absent():
    labels = np.array([labels_of(noun=3, things=4, people=1, second_noun=-1, action=-1)])
    key = answer_key(labels, np.array([2]))
    words = {axis: ANSWERS[axis][values[0]] for axis, values in key.items() if values[0] >= 0}
    assert words["noun"] == NOUNS[3]
    assert words["frequency"] == "many"
    assert words["density"] == "one"
    assert (words["second_noun"], words["second_frequency"]) == ("no", "no")
    assert words["style"] == STYLE_NAMES[2]
    assert "action" not in words


@pytest.fixture(scope="module")
def untrained_judge(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("judge") / "judge.safetensors"
    Judge(ANSWERS).save(path)
    return path


@pytest.mark.parametrize("grammar", GRAMMARS)
def test_the_judge_speaks_of_every_axis_of_every_grammar(corpus, untrained_judge, grammar):
    compiled = load_grammar(grammar)
    found = judged_states(load_judge(untrained_judge), compiled, corpus.pictures[:5])
    assert found.shape == (5, compiled.n_axes)
    assert (found < compiled.nvec).all()


def test_the_judges_command_prints_each_axis_with_a_probability(
    corpus, untrained_judge, tmp_path, capsys
):
    picture = tmp_path / "wide.png"
    Image.fromarray(corpus.pictures[0]).resize((200, 90)).save(picture)
    assert judge_command([str(picture), "--json", "--weights", str(untrained_judge)]) == 0
    (answers,) = json.loads(capsys.readouterr().out)
    assert answers.pop("picture") == str(picture)
    assert tuple(answers) == AXES
    for axis, answer in answers.items():
        assert answer["value"] in ANSWERS[axis]
        assert 0 < answer["probability"] <= 1


def test_the_judges_command_names_a_file_that_is_no_picture(untrained_judge, tmp_path, capsys):
    path = tmp_path / "text.png"
    path.write_text("no picture")
    assert judge_command([str(path), "--weights", str(untrained_judge)]) == 2
    assert str(path) in capsys.readouterr().err


def test_other_weights_are_no_judge(tmp_path):
    with pytest.raises(JudgeError, match=r"python -m tools\.embedded_world judge"):
        load_judge(tmp_path / "missing.safetensors")
