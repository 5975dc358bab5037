"""From a ``.lark`` file to axes, states and prompts, and back (paper §3, "Semantic Encoding").

A grammar is a plain Lark file. Compiled, it is a product of *axes*: every choice of words in the
sentence is one axis, a *state* is one label per axis, and a *prompt* is the sentence of a state.

Example:
    >>> grammar = load_grammar("base")
    >>> grammar.decode([0, 5, 0, 0])
    'a photo of one dog and no people in park'
    >>> grammar.encode("a photo of one dog and no people in park")
    array([0, 5, 0, 0])
"""

from rldf_gym.grammar.axes import ROLES, Axis, Role, Tree
from rldf_gym.grammar.faults import GrammarError, GrammarWarning
from rldf_gym.grammar.files import load_grammar, shipped_grammars
from rldf_gym.grammar.grammar import Grammar, compile_grammar
from rldf_gym.grammar.locality import (
    Locality,
    order_correlation,
    semantic_order,
    text_locality,
)

__all__ = [
    "ROLES",
    "Axis",
    "Grammar",
    "GrammarError",
    "GrammarWarning",
    "Locality",
    "Role",
    "Tree",
    "compile_grammar",
    "load_grammar",
    "order_correlation",
    "semantic_order",
    "shipped_grammars",
    "text_locality",
]
