"""Which value a class of a clone gets."""

import numpy as np
import pytest
from painted_world import load_grammar, paint, painted_world

from rldf_agents.cloning.matching import match_class
from rldf_agents.cloning.source import SourceClass

BASE = load_grammar("base")
NOUN = BASE.axis_index("noun")


def matched(name: str, *nouns: str) -> str:
    """The word of a class with one example of each noun."""
    values = BASE.axis("noun").values
    examples = tuple(paint(BASE, (0, values.index(noun), 0, 3)) for noun in nouns)
    found = match_class(painted_world(), SourceClass(name, examples, "", ()), [NOUN])
    assert found.n_examples == len(nouns)
    assert np.isclose(found.verified, 1)
    return found.words[0]


@pytest.mark.parametrize(
    ("name", "nouns", "word"),
    [
        ("round things", ("apple", "apple", "apple", "ball", "ball"), "apple"),
        ("ball", ("apple", "apple", "apple", "ball", "ball"), "ball"),
        ("Ball", ("apple", "apple", "apple", "ball", "ball"), "ball"),
        ("ball", ("apple", "apple", "apple"), "apple"),
        ("apple", ("apple", "apple", "apple", "ball", "ball"), "apple"),
    ],
)
def test_a_value_with_the_classs_name_is_tried_first_where_examples_show_it(name, nouns, word):
    assert matched(name, *nouns) == word
