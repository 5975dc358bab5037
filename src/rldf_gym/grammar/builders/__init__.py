"""Make grammar files from words, WordNet and prompt templates, and order their axes by meaning.

Every builder returns the text of a plain ``.lark`` file that compiles and that people can edit.
"""

from rldf_gym.grammar.builders.extension import extend_grammar
from rldf_gym.grammar.builders.lark_file import BuiltGrammar, Vocabulary, write_grammar
from rldf_gym.grammar.builders.ordering import order_axis, wordnet_embedding
from rldf_gym.grammar.builders.restriction import restrict_grammar
from rldf_gym.grammar.builders.selection import AxisSelection, select_values
from rldf_gym.grammar.builders.synsets import grammar_from_wordnet, vocabulary_tree
from rldf_gym.grammar.builders.taxonomy import Taxonomy
from rldf_gym.grammar.builders.templates import grammar_from_template
from rldf_gym.grammar.builders.wordnet import WordNet
from rldf_gym.grammar.builders.words import grammar_from_words

__all__ = [
    "AxisSelection",
    "BuiltGrammar",
    "Taxonomy",
    "Vocabulary",
    "WordNet",
    "extend_grammar",
    "grammar_from_template",
    "grammar_from_wordnet",
    "grammar_from_words",
    "order_axis",
    "restrict_grammar",
    "select_values",
    "vocabulary_tree",
    "wordnet_embedding",
    "write_grammar",
]
