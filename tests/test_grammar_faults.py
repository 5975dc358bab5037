"""Every fault a grammar file can have is refused with the rule, the line and the mend."""

import pytest

from rldf_gym.grammar import GrammarError, compile_grammar

SPACED = '\n%ignore " "\n'

FAULTS = {
    "a rule that leads back to itself": (
        'start: "a" noun\nnoun: "dog" | "big" noun',
        ["line 2", "'noun'", "noun -> noun"],
    ),
    "rules that lead back to each other": (
        'start: np\nnp: "dog" | pp\npp: "of" np | "here"',
        ["leads back to itself", "np -> pp -> np"],
    ),
    "words repeated without end": (
        'start: "very"+ noun\nnoun: "dog" | "cat"',
        ["line 1", "'start'", "repeats words with +"],
    ),
    "words repeated a number of times": (
        'start: noun\nnoun: "dog" ~ 1..3 | "cat"',
        ["line 2", "'noun'", "repeats words with ~"],
    ),
    "two states with one prompt": (
        'start: "a" size thing\nsize: "big" | "big red"\nthing: "red dog" | "dog"' + SPACED,
        ["line 2", "'size'", "ambiguous", "'a big red dog'", "size 'big red'", "thing 'red dog'"],
    ),
    "two optional axes with a word in common": (
        'start: "dog" [near] [far]\nnear: "here" | "in park"\nfar: "in park" | "there"' + SPACED,
        ["line 2", "'near'", "ambiguous", "'dog in park'"],
    ),
    "words that run together without blanks": (
        'start: size thing\nsize: "a" | "ab"\nthing: "bc" | "c"',
        ["line 2", "ambiguous", "'abc'"],
    ),
    "a value twice in an axis": (
        'start: "a" noun\nnoun: "dog"\n    | "cat"\n    | "dog"',
        ["line 4", "'noun'", "value 'dog' twice", "lines 2 and 4"],
    ),
    "an axis with a single value, written twice": (
        'start: "a" noun\nnoun: "dog" | "dog"',
        ["line 2", "'noun'", "value 'dog' twice"],
    ),
    "one word with two classes": (
        'start: noun\nnoun: "crane" -> bird\n | "crane" -> machine',
        ["line 3", "value 'crane' twice"],
    ),
    "a value in two groups of an axis": (
        'start: noun\nnoun: bird | machine\nbird: "duck" | "crane"\nmachine: "crane"',
        ["'noun'", "value 'crane' twice", "lines 3 and 4"],
    ),
    "an axis twice in the sentence": (
        'start: noun "and" noun\nnoun: "dog" | "cat"',
        ["line 2", "'noun'", "stands twice", "second_noun: noun"],
    ),
    "an axis with a single value, twice in the sentence": (
        'start: noun "and" noun size\nnoun: "dog"\nsize: "big" | "small"',
        ["line 2", "'noun'", "stands twice"],
    ),
    "optional twice over": (
        'start: "a" [[noun]]\nnoun: "dog" | "cat"' + SPACED,
        ["'noun'", "value '' twice"],
    ),
    "blanks forgotten": (
        'start: "a photo of" noun "in" scene\nnoun: "duck" | "dog"\nscene: "park" | "snow"',
        ["line 1", "'start'", "'a photo ofduck'", '%ignore " "'],
    ),
    "blanks forgotten in optional words": (
        'start: noun ["of" colour]\nnoun: "duck" | "dog"\ncolour: "blue" | "red"',
        ["line 1", "'start'", "'ofblue'", '%ignore " "'],
    ),
    "an empty file": ("", ["empty", "start"]),
    "only comments": ("// nothing here\n", ["no rule named start"]),
    "no start": ('noun: "dog" | "cat"', ["no rule named start"]),
    "nothing to choose": ('start: "a dog"', ["line 1", "'start'", "nothing to choose"]),
    "nothing to say": ("start:", ["line 1", "'start'", "language is empty"]),
    "an unknown rule": (
        'start: "a" noun\nnoun: "dog" | animal',
        ["line 2", "'noun'", "'animal' used but not defined"],
    ),
    "an unknown terminal": (
        'start: NOUN "a"',
        ["line 1", "'start'", "'NOUN' used but not defined"],
    ),
    "a rule defined twice": (
        'start: noun\nnoun: "dog"\nnoun: "cat"',
        ["line 3", "'noun'", "defined more than once"],
    ),
    "a rule left to a program": (
        '%declare NOUN\nstart: "a" NOUN',
        ["line 1", "%declare NOUN", "write them out"],
    ),
    "rules from another file": (
        'start: "a" noun\n%import .nouns (noun)',
        ["line 2", "%import .nouns", "one file"],
    ),
    "rules from a library that does not exist": (
        "%import nouns.NOUN\nstart: NOUN",
        ["nouns.lark", "not one of Lark's own grammars"],
    ),
    "too many states": (
        f"start: {' '.join(f'axis{i}' for i in range(64))}\n"
        + "\n".join(f'axis{i}: "no{i}" | "yes{i}"' for i in range(64))
        + SPACED,
        ["line 1", "'start'", "18446744073709551616 states", "2^63"],
    ),
    "an unclosed parenthesis": (
        'start: ("a" | "b"\nnoun: "dog"',
        ["cannot be read", "line 1", "Expected", 'start: ("a" | "b"\n                 ^'],
    ),
    "an unclosed quote": ('start: "a" noun\nnoun: "dog', ["line 2", 'noun: "dog\n      ^']),
    "a missing colon": ('start "dog"', ["cannot be read", 'start "dog"\n      ^']),
    "single quotes": ("start: 'dog'", ["line 1", "start: 'dog'\n       ^"]),
    "an alias in capitals": ('start: "dog" -> DOG', ["line 1", "^"]),
    "a pattern for a word": ('start: noun\nnoun: /do+g/ | "cat"', ["line 2", "'noun'", "/do+g/"]),
    "a word in any case": ('start: noun\nnoun: "dog"i | "cat"', ["line 2", "'noun'", '"dog"i']),
    "a backslash in a word": (r'start: "a\tdog" noun', ["line 1"]),
    "a range of letters": ('start: noun\nnoun: "a".."z"', ["line 2", "'noun'", "range"]),
    "a template": ('start: two{"a"}\ntwo{x}: x x', ["line 1", "'start'", "template"]),
    "a terminal of several words": (
        'start: NOUN\nNOUN: "hot" " dog" | "cat"',
        ["line 2", "'NOUN'", "more than a list of words"],
    ),
    "an optional terminal": ('start: "a" NOUN\nNOUN: ["dog"] "s"', ["line 2", "NOUN"]),
    "an empty word": ('start: noun\nnoun: "dog" | ""', ["line 2", "'noun'", "empty word"]),
    "blanks that are skipped": (
        'start: "a photo of " noun\nnoun: "dog" | "cat"' + SPACED,
        ["line 1", "'start'", '"a photo of "', "blanks"],
    ),
    "words that are skipped": (
        'start: noun\nnoun: "dog" | "cat"\n%ignore "very"',
        ["line 3", '%ignore "very"', "blanks only"],
    ),
    "blanks that are skipped by twos": (
        'start: noun\nnoun: "dog" | "cat"\n%ignore "  "',
        ["line 3", '%ignore "  "', "blanks only"],
    ),
    "a pattern for blanks in double quotes": (
        'start: noun\nnoun: "dog" | "cat"\n%ignore " +"',
        ["line 3", '%ignore " +"', "blanks only"],
    ),
    "a broken pattern for blanks": (
        'start: noun\nnoun: "dog" | "cat"\n%ignore /( /',
        ["line 3", "%ignore /( / is no pattern"],
    ),
    "a choice without a name": (
        'start: "a" ("big" | "small") "dog"',
        ["line 1", "'start'", "parentheses", "rule of its own"],
    ),
    "optional words without a name": (
        'start: "a" ["big"] noun\nnoun: "dog" | "cat"' + SPACED,
        ["line 1", "'start'", "[optional] words without a name"],
    ),
    "empty brackets": ('start: "a" [] noun\nnoun: "dog" | "cat"', ["line 1", "without a name"]),
    "two axes that are optional together": (
        'start: "dog" ["on" weather time]\nweather: "wet" | "dry"\ntime: "day" | "night"' + SPACED,
        ["line 1", "'start'", "weather and time optional together"],
    ),
    "a row of words and choices in an alternative": (
        'start: place\nplace: "in" room | "outside"\nroom: "kitchen" | "hall"' + SPACED,
        ["line 2", "'place'", "words and choices in a row"],
    ),
    "an alias that Lark does not allow": (
        'start: "a " _noun\n_noun: "dog" -> pet | "cat"',
        ["line 2", "'_noun'", "alias"],
    ),
    "rules nested beyond reason": (
        "start: n0\n"
        + "\n".join(f'n{i}: n{i + 1} | "word{i}"' for i in range(2000))
        + '\nn2000: "end"',
        ["nests its rules too deeply"],
    ),
    "fixed text that doubles itself": (
        "start: n0\n" + "\n".join(f"n{i}: n{i + 1} n{i + 1}" for i in range(60)) + '\nn60: "ha"',
        ["more than 10000 characters"],
    ),
    "alternatives that double themselves": (
        "start: n0\n" + "\n".join(f"n{i}: n{i + 1} | n{i + 1}" for i in range(60)) + '\nn60: "ha"',
        ["value 'ha' twice"],
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_grammar_is_rejected_with_its_rule_and_line(fault):
    source, expected = FAULTS[fault]
    with pytest.raises(GrammarError) as caught:
        compile_grammar(source, "mine")
    message = str(caught.value)
    assert "grammar 'mine'" in message
    for part in expected:
        assert part in message


def test_a_comment_that_looks_like_a_rule_does_not_shift_the_line():
    source = '// noun: not here\nstart: "a" noun\n\n// noun: nor here\nnoun   : "dog" | "big" noun'
    with pytest.raises(GrammarError, match="line 5, rule 'noun'"):
        compile_grammar(source)


def test_axes_that_share_words_are_fine_as_long_as_prompts_differ():
    grammar = compile_grammar(
        'start: size thing\nsize: "big" | "big red"\nthing: "red dog" | "cat"' + SPACED
    )
    assert grammar.encode("big red dog").tolist() == [0, 0]
    assert grammar.encode("big red cat").tolist() == [1, 1]
