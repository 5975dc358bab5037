"""``rldf grammar``: what it prints, what it writes, and one line for bad input."""

import pytest
from tiny_wordnet import write_wordnet

from rldf_agents.cli import main
from rldf_gym.grammar import load_grammar


def run(capsys, *arguments) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["grammar", *map(str, arguments)])
    streams = capsys.readouterr()
    return ended.value.code, streams.out, streams.err


def written(folder, name, text):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("arguments", [["base"], ["show", "base"]])
def test_a_name_alone_shows_the_grammar(capsys, arguments):
    status, shown, _ = run(capsys, *arguments)
    assert status == 0
    assert "480 states" in shown
    assert "banana, orange, apple" in shown


def test_every_axis_has_role_reader_number_of_values_and_locality(capsys):
    _, shown, _ = run(capsys, "extended")
    rows = [line.split("  ") for line in shown.split("\n\n")[1].splitlines()]
    table = {row[0]: [cell.strip() for cell in row[1:] if cell.strip()] for row in rows}
    assert table["axis"] == ["values", "role", "read by", "locality"]
    assert table["frequency"] == ["2", "count of noun", "detector", "-"]
    assert table["density"] == ["3", "people", "detector", "-"]
    assert table["noun"][:3] == ["10", "object", "detector"]
    assert table["scene"][:3] == ["8", "scene", "scene classifier"]
    assert table["weather"][:3] == ["3", "other", "clip"]
    for axis in ("noun", "scene", "weather"):
        assert 0 < float(table[axis][3]) <= 1


def test_words_that_clip_does_not_know_have_no_locality(capsys, tmp_path):
    file = written(tmp_path, "cats.lark", 'start: "a " cat\ncat: "lynx" | "puma" | "ocelot"\n')
    _, shown, _ = run(capsys, file)
    assert "cat   3       other  clip     -" in shown


@pytest.mark.filterwarnings("default::rldf_gym.grammar.GrammarWarning")
def test_a_count_without_an_object_is_a_warning_of_one_line(capsys, tmp_path):
    lark = 'start: "a photo of" n "things in" place\nn: "one" | "two"\nplace: "park" | "snow"\n'
    file = written(tmp_path, "counts.lark", lark + '%ignore " "\n')
    status, shown, notes = run(capsys, file, "--no-locality")
    assert status == 0
    assert "n      2       count  clip" in shown
    assert notes.count("\n") == 1
    assert "axis 'n' of grammar 'counts' (line 2) holds count words but has no object" in notes


def test_a_wide_axis_is_shortened(capsys):
    _, shown, _ = run(capsys, "imagenet")
    assert "and 960 more" in shown


def test_words_become_a_file_that_loads(capsys, tmp_path):
    words = written(tmp_path, "animal.txt", "dog\ncat\ndog\n")
    out = tmp_path / "made" / "mine.lark"
    status, shown, notes = run(
        capsys, "from-words", words, "--sentence", "one {animal}", "--out", out
    )
    assert status == 0
    assert load_grammar(out).axis("animal").values == ("dog", "cat")
    assert f"{out}: 2 states" in shown
    assert notes == "animal.txt: 'animal' repeats 'dog'; each is kept once\n"


def test_without_out_the_file_is_printed(capsys, tmp_path):
    status, shown, _ = run(capsys, "from-templates", "a {red|blue} ball")
    assert status == 0
    assert load_grammar(written(tmp_path, "printed.lark", shown)).n_states == 2


def test_a_template_can_come_from_a_file(capsys, tmp_path):
    written(tmp_path, "animal.txt", "cat\ndog\n")
    template = written(tmp_path, "prompt", "a {red|blue}\n__animal__")
    out = tmp_path / "t.lark"
    run(capsys, "from-templates", f"@{template}", "--wildcards", tmp_path, "--out", out)
    assert load_grammar(out).decode([1, 0]) == "a blue cat"


def test_a_synset_becomes_a_file(capsys, tmp_path):
    out = tmp_path / "animals.lark"
    arguments = ["from-wordnet", "animal.n.01", "--wordnet", write_wordnet(tmp_path), "--out", out]
    status, _, notes = run(capsys, *arguments)
    assert status == 0
    assert load_grammar(out).axis("animal").values[0] == "animal"
    assert "marked as derogatory" in notes


def test_an_axis_is_ordered_in_place(capsys, tmp_path):
    text = 'start: "a" size noun\nsize: "big" | "small"\nnoun: "poodle" | "bus" | "dog"\n'
    file = written(tmp_path, "mine.lark", text + '%ignore " "\n')
    folder = write_wordnet(tmp_path)
    status, _, _ = run(capsys, "order", file, "--wordnet", folder, "--out", file, "--overwrite")
    assert status == 0
    assert load_grammar(file).axis("noun").values == ("poodle", "dog", "bus")
    assert load_grammar(file).axis("size").values == ("big", "small")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["klingon"], "unknown grammar 'klingon'; known: actions, base"),
        (["from-words", "FOLDER/none.txt"], "cannot be read"),
        (["from-words"], "Missing argument"),
        (["from-wordnet", "dgo.n.01", "--wordnet", "FOLDER"], "near: dog.n.01"),
        (["from-wordnet", "dog.n.01", "--wordnet", "FOLDER/none"], "no WordNet in"),
        (["from-templates", "a {red|blue"], "without its partner"),
        (["from-templates", "@FOLDER/none"], "No such file"),
        (["order", "base", "--axis", "animal"], "has no axis 'animal'"),
        (["order", "base", "--wordnet", "FOLDER"], "WordNet does not have 'banana'"),
        (["order", "base", "--by", "magic"], "unknown perception 'magic'"),
    ],
)
def test_bad_input_is_one_line(capsys, tmp_path, arguments, complaint):
    write_wordnet(tmp_path)
    filled = [argument.replace("FOLDER", str(tmp_path)) for argument in arguments]
    status, shown, error = run(capsys, *filled)
    assert status == 2
    assert shown == ""
    assert error.startswith("rldf: error: ")
    assert complaint in error


def test_a_file_that_exists_is_kept(capsys, tmp_path):
    out = written(tmp_path, "mine.lark", "my own work")
    status, _, error = run(capsys, "from-templates", "a {red|blue} ball", "--out", out)
    assert status == 2
    assert "add --overwrite" in error
    assert out.read_text() == "my own work"
