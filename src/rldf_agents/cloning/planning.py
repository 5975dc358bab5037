"""Make the plan of a clone from the settings and from what was found for each class."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence

from rldf_agents.cloning.matching import MOST_GENERATED, ClassMatch
from rldf_agents.cloning.names import folder_name
from rldf_agents.cloning.plan import MOST_IN_SHARD, ClonedClass, Layout, Plan
from rldf_agents.cloning.sampling import all_marginals, read_marginals
from rldf_agents.cloning.settings import CloneSettings
from rldf_agents.errors import AgentError
from rldf_gym.evaluator import StateEvaluator
from rldf_gym.generation import Generator, ImagesApiGenerator
from rldf_gym.grammar import Grammar, GrammarWarning, compile_grammar, load_grammar


def check_variation(grammar: Grammar, settings: CloneSettings, axes: Sequence[int]) -> None:
    """Check what varies, before anything is searched.

    Args:
        grammar: that is searched.
        settings: of the clone.
        axes: numbers of its class axes.

    Raises:
        AgentError: shares that cannot be, or attributes that do not fit.
        GrammarError: an unknown axis or grammar.
    """
    attributes = attribute_grammar(settings)
    if attributes is None:
        _marginals(grammar, settings, axes)
        return
    if len(axes) != 1:
        names = ", ".join(grammar.axis_names[axis] for axis in axes)
        raise AgentError(f"--attributes needs one class axis, not {names}: give one --class-axis")
    class_rule(attributes, grammar.axis_names[axes[0]])
    _marginals(attributes, settings, ())


def check_requests(generator: Generator, settings: CloneSettings, n_classes: int) -> None:
    """Check that a server's limit allows the whole clone: each process counts by itself.

    Raises:
        AgentError: it does not.
    """
    if not isinstance(generator, ImagesApiGenerator):
        return
    most = generator.settings.max_generations
    attempts = settings.retry_rejected + 1
    needed = n_classes * (settings.per_class * attempts + MOST_GENERATED)
    if most is not None and needed > most:
        raise AgentError(
            f"--max-generations is {most}, and this clone may request {needed}: allow as many, or"
            " give a smaller --per-class or --retry-rejected"
        )


def make_plan(
    evaluator: StateEvaluator,
    settings: CloneSettings,
    axes: tuple[int, ...],
    matches: Sequence[ClassMatch],
) -> Plan:
    """Return the plan, in shards of the largest size.

    Args:
        evaluator: of the grammar that was searched.
        settings: of the clone.
        axes: numbers of the class axes in that grammar.
        matches: what was found for each class.
    """
    grammar, labels = evaluator.grammar, [match.labels for match in matches]
    attributes = attribute_grammar(settings)
    if attributes is not None:
        name = grammar.axis_names[axes[0]]
        grammar, labels = with_class_words(evaluator, attributes, axes[0], matches)
        axes = (grammar.axis_index(name),) if labels[0] else ()
    return Plan(
        layout=Layout(len(matches), settings.split_counts, MOST_IN_SHARD),
        grammar=grammar,
        classes=tuple(
            ClonedClass(match.name, folder_name(match.name), tuple(each))
            for match, each in zip(matches, labels, strict=True)
        ),
        class_axes=axes,
        marginals=_marginals(grammar, settings, axes),
        seed=settings.seed,
        fingerprint=evaluator.generator.fingerprint,
    )


def attribute_grammar(settings: CloneSettings) -> Grammar | None:
    """Return the grammar of the attributes, None where the settings name none.

    Raises:
        GrammarError: there is no such grammar, or it is faulty.
    """
    if settings.attributes is None:
        return None
    with warnings.catch_warnings():
        # A count that has only one word to count counts the classes' words in the end.
        warnings.simplefilter("ignore", GrammarWarning)
        return load_grammar(settings.attributes)


def _marginals(
    grammar: Grammar, settings: CloneSettings, axes: Sequence[int]
) -> dict[int, tuple[float, ...]]:
    varying = [axis for axis in range(grammar.n_axes) if axis not in axes]
    return all_marginals(grammar, varying, read_marginals(grammar, settings.marginals))


def with_class_words(
    evaluator: StateEvaluator,
    attributes: Grammar,
    axis: int,
    matches: Sequence[ClassMatch],
) -> tuple[Grammar, list[tuple[int, ...]]]:
    """Return the attributes' grammar with the words of all classes, and each class's labels in it.

    Args:
        evaluator: of the grammar that was searched.
        attributes: has a rule of the class axis's name with one word, as `diversity` has.
        axis: number of the class axis in the grammar that was searched.
        matches: what was found for each class.

    Raises:
        AgentError: there is no such rule.
        RLDFError: the generator does not know a word of the grammar.
    """
    searched = evaluator.grammar.axes[axis]
    labels = sorted({match.labels[0] for match in matches})
    words = [
        _literal(searched.values[label])
        + (f" -> {name}" if (name := searched.classes[label]) != searched.values[label] else "")
        for label in labels
    ]
    rule = class_rule(attributes, searched.name)
    source = rule.sub(lambda found: f"{searched.name}: {' | '.join(words)}", attributes.source)
    made = compile_grammar(source, attributes.name)
    grammar = StateEvaluator(
        made, evaluator.generator, evaluator.perception, evaluator.store
    ).grammar
    # One word is no axis: there is nothing to choose.
    is_axis = len(labels) > 1
    return grammar, [(labels.index(m.labels[0]),) if is_axis else () for m in matches]


def class_rule(attributes: Grammar, name: str) -> re.Pattern[str]:
    """Return what finds the rule of a grammar that names the class.

    Raises:
        AgentError: there is no rule of that name with one word.
    """
    rule = re.compile(rf'^{re.escape(name)}\s*:\s*"[^"\n]*"[^\S\n]*$', re.MULTILINE)
    if len(rule.findall(attributes.source)) != 1:
        raise AgentError(
            f"--attributes {attributes.name}: give a grammar with one rule of the form"
            f' {name}: "umbrella"; the words of the classes replace this one'
        )
    return rule


def _literal(word: str) -> str:
    escaped = word.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
