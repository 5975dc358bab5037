"""Grammar files: the shipped ones by name, a user's own by path."""

from pathlib import Path

from rldf_gym.grammar.faults import GrammarError
from rldf_gym.grammar.grammar import Grammar, compile_grammar
from rldf_gym.registry import is_object_name, make_named, unknown_name

_SUFFIX = ".lark"
_PACKAGE = Path(__file__).resolve().parents[1]
_FOLDERS = (_PACKAGE / "grammars", _PACKAGE.parents[1] / "grammars")
"""In an installed wheel the files lie in the package; in a checkout, at its top."""


def shipped_grammars(words: str = "") -> tuple[str, ...]:
    """Return the names of the grammars that come with the package, such as ``domains/zoology``.

    Args:
        words: only those that have these words, in upper or lower case, as one value.
    """
    files = _shipped_files()
    if words:
        quoted = f'"{words}"'.casefold()
        files = {name: path for name, path in files.items() if quoted in _read(path).casefold()}
    return tuple(sorted(files))


def load_grammar(grammar: str | Path | Grammar) -> Grammar:
    """Return a grammar by the name of a shipped one, by path, by object, or as it is.

    Args:
        grammar: a shipped grammar's name; the path of a ``.lark`` file; ``package.module:object``
            for a `Grammar`, a name or path, or a function that makes one; or a `Grammar`.

    Raises:
        GrammarError: No such name or file, a file that cannot be read, or a fault in the grammar.
    """
    if isinstance(grammar, Grammar):
        return grammar
    if not isinstance(grammar, str | Path):
        raise GrammarError(
            f"a grammar is a name, a path or a Grammar, not {type(grammar).__name__}"
        )
    if not str(grammar):
        raise _unknown("")
    path = _shipped_files().get(str(grammar), Path(grammar))
    if is_object_name(str(grammar)) and not path.exists():
        found = make_named(
            "grammar",
            str(grammar),
            lambda found: isinstance(found, Grammar | str | Path),
            "a Grammar, or the name or path of one",
        )
        return load_grammar(found)
    return compile_grammar(_read(path), path.stem)


def _shipped_files() -> dict[str, Path]:
    folder = next((folder for folder in _FOLDERS if folder.is_dir()), None)
    if folder is None:
        return {}
    return {
        path.relative_to(folder).with_suffix("").as_posix(): path
        for path in folder.rglob(f"*{_SUFFIX}")
    }


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise _unknown(str(path)) from error
    except UnicodeDecodeError as error:
        raise GrammarError(f"grammar file {str(path)!r} is not UTF-8 text") from error
    except (OSError, ValueError) as error:
        raise GrammarError(f"grammar file {str(path)!r} cannot be read: {error}") from error


def _unknown(name: str) -> GrammarError:
    return GrammarError(unknown_name("grammar", name, shipped_grammars(), "a .lark file"))
