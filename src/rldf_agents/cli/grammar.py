"""``rldf grammar``: show what a grammar can say, and make grammars."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from rldf_agents.cli import options

if TYPE_CHECKING:
    from rldf_gym.grammar.builders import BuiltGrammar

_MOST_SHOWN = 40
_WORDNET = "wordnet"


class _ShowByDefault(TyperGroup):
    """``rldf grammar NAME`` is short for ``rldf grammar show NAME``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put ``show`` in front of what is no command."""
        if args and not args[0].startswith("-") and args[0] not in self.commands:
            args = ["show", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_ShowByDefault,
    no_args_is_help=True,
    help="Show a grammar (rldf grammar NAME), or make one from words, WordNet or a template.",
)

Out = Annotated[
    Path | None, typer.Option(help="The .lark file to write; by default it is printed.")
]
WordNetFolder = Annotated[
    Path | None,
    typer.Option(
        "--wordnet",
        help="Folder of WordNet's data.noun; default: $WNSEARCHDIR, or where Debian puts it.",
    ),
]


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="A shipped grammar, a file, or module:object.")],
    perception: Annotated[
        str, typer.Option(help="The models that read the axes: embedded, photos, clip, a folder.")
    ] = "embedded",
    locality: Annotated[
        bool, typer.Option(help="Measure if neighbouring values mean alike; loads CLIP.")
    ] = True,
) -> None:
    """Show what a grammar can say: its axes, who reads them, their values, and an example.

    Locality compares the order of an axis with the order by similarity: 1 is best.

    Example: rldf grammar animals.lark --no-locality
    """
    from rldf_agents.applications.axis_table import axis_table
    from rldf_agents.applications.tables import print_table
    from rldf_gym.grammar import load_grammar
    from rldf_gym.perception import make_perception

    loaded = load_grammar(name)
    typer.echo(f"{loaded.name}: {loaded.n_states:,} states, such as")
    typer.echo(f"  {loaded.decode(loaded.state(loaded.n_states // 2))}")
    typer.echo()
    print_table(axis_table(loaded, make_perception(perception), locality))
    typer.echo()
    width = max(map(len, loaded.axis_names))
    for axis in loaded.axes:
        shown = [value or "(nothing)" for value in axis.values]
        if len(shown) > _MOST_SHOWN:
            shown[_MOST_SHOWN:] = [f"and {len(shown) - _MOST_SHOWN:,} more"]
        typer.echo(f"{axis.name:<{width}}  {', '.join(shown)}")


@app.command()
def from_words(
    files: Annotated[
        list[Path],
        typer.Argument(help="Word lists: .csv with a column per axis, or one word a line."),
    ],
    sentence: Annotated[
        str | None,
        typer.Option(help='The prompt, such as "a photo of a {colour} {animal}".'),
    ] = None,
    out: Out = None,
    overwrite: options.Overwrite = False,
) -> None:
    """Make a grammar from lists of words: each file, or column of a CSV file, is an axis.

    Example: rldf grammar from-words animals.txt places.txt --out mine.lark
    """
    from rldf_gym.grammar.builders import grammar_from_words

    _write(grammar_from_words(files, sentence), out, overwrite)


@app.command()
def from_wordnet(
    synset: Annotated[str, typer.Argument(help="Where to begin, such as dog.n.01.")],
    depth: Annotated[int, typer.Option(help="Levels of the tree below it.")] = 2,
    wordnet: WordNetFolder = None,
    out: Out = None,
    overwrite: options.Overwrite = False,
) -> None:
    """Make a grammar of a noun and everything below it in WordNet.

    Example: rldf grammar from-wordnet musical_instrument.n.01 --depth 3 --out instruments.lark
    """
    from rldf_gym.grammar.builders import WordNet, grammar_from_wordnet

    _write(grammar_from_wordnet(WordNet(wordnet), synset, depth), out, overwrite)


@app.command()
def from_templates(
    template: Annotated[str, typer.Argument(help='A template, or "@FILE" that holds one.')],
    wildcards: Annotated[
        Path | None, typer.Option(help="Folder of the wildcards' .txt files.")
    ] = None,
    out: Out = None,
    overwrite: options.Overwrite = False,
) -> None:
    """Make a grammar from a prompt template in dynamicprompts' syntax: {a|b} and __wildcard__.

    Example: rldf grammar from-templates "a {red|blue} __animal__" --wildcards wildcards
    """
    from rldf_gym.grammar.builders import grammar_from_template

    text, name = template, "template"
    if template.startswith("@"):
        path = Path(template[1:])
        text, name = _text(path), path.stem
    _write(grammar_from_template(text, wildcards, name), out, overwrite)


@app.command()
def order(
    grammar: Annotated[str, typer.Argument(help="A shipped grammar, or a file.")],
    axis: Annotated[
        str | None, typer.Option(help="The axis; by default the one with most values.")
    ] = None,
    by: Annotated[
        str, typer.Option(help="wordnet, or the perception whose CLIP embeds the words.")
    ] = _WORDNET,
    wordnet: WordNetFolder = None,
    device: Annotated[str | None, typer.Option(help="Torch device of CLIP.")] = None,
    out: Out = None,
    overwrite: options.Overwrite = False,
) -> None:
    """Reorder an axis so that values of like meaning are neighbours.

    Example: rldf grammar order animals.lark --axis animal --out animals.lark --overwrite
    """
    from rldf_gym.grammar import load_grammar
    from rldf_gym.grammar.builders import WordNet, order_axis, wordnet_embedding

    loaded = load_grammar(grammar)
    name = max(loaded.axes, key=len).name if axis is None else axis
    loaded.axis(name)  # before any model is loaded
    if by == _WORDNET:
        embed = wordnet_embedding(WordNet(wordnet))
    else:
        from rldf_gym.perception import make_perception

        embed = make_perception(by, device).clip.embed_texts
    _write(order_axis(loaded, name, embed), out, overwrite)


@app.command()
def suggest(
    picture: Annotated[str, typer.Argument(help="A picture file.")],
    world: Annotated[
        str | None,
        typer.Option(
            help="The large grammar to read the picture in: a shipped one, or a file; default: the"
            " largest that the generator has words for."
        ),
    ] = None,
    top: Annotated[int, typer.Option(help="The most values of an axis.")] = 8,
    generator: options.Generator = "embedded",
    perception: options.Perception = "auto",
    store: options.Store = "default",
    device: options.Device = None,
    out: Out = None,
    overwrite: options.Overwrite = False,
    as_json: options.AsJson = False,
) -> None:
    """Make a small grammar for a picture: what it may show, of all that a large one can say.

    Example: rldf grammar suggest photo.png --world world --out photo.lark
    """
    from rldf_agents.applications.tables import print_table, suggestion_table
    from rldf_gym.grammar.builders import BuiltGrammar
    from rldf_gym.suggestion import suggest_grammar

    _check_free(out, overwrite)
    suggestion = suggest_grammar(picture, world, top, generator, perception, store, device)
    built = BuiltGrammar(suggestion.grammar.source)
    if as_json:
        if out is not None:
            _save(built, out)
        written = None if out is None else str(out)
        typer.echo(json.dumps({"out": written, **suggestion.to_json()}, indent=2))
        return
    print_table(suggestion_table(suggestion), stderr=out is None)
    _write(built, out, overwrite)


def _write(built: BuiltGrammar, out: Path | None, overwrite: bool) -> None:
    _check_free(out, overwrite)
    if out is None:
        typer.echo(built.source, nl=False)
    else:
        _save(built, out)
    for note in built.notes:
        typer.echo(note, err=True)
    if out is not None:
        from rldf_gym.grammar import load_grammar

        loaded = load_grammar(out)
        typer.echo(f"{out}: {loaded.n_states:,} states, such as")
        typer.echo(f"  {loaded.decode(loaded.state(loaded.n_states // 2))}")


def _check_free(out: Path | None, overwrite: bool) -> None:
    from rldf_agents.applications.output import require_free

    if out is not None:
        require_free(out, overwrite)


def _save(built: BuiltGrammar, out: Path) -> None:
    from rldf_gym.atomic_file import write_atomically

    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(out, built.source.encode())


def _text(path: Path) -> str:
    from rldf_agents.errors import AgentError

    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise AgentError(f"{path}: not UTF-8 text; save it as UTF-8") from error
