"""Colours for Lark grammars."""

from typing import Any, ClassVar

from pygments.lexer import RegexLexer
from pygments.token import Comment, Keyword, Name, Operator, String, Text


class LarkLexer(RegexLexer):
    """Rules, strings, directives and comments of a ``.lark`` file."""

    name = "Lark"
    aliases = ("lark",)
    tokens: ClassVar[dict[str, Any]] = {
        "root": [
            (r"//.*?$", Comment),
            (r'"(?:\\.|[^"\\])*"', String),
            (r"^%\w+", Keyword),
            (r"^\??\w+(?=[\w.{},]*\s*:)", Name.Function),
            (r"\w+", Name),
            (r"[|:?*+\[\](){}.,~!/\\>-]", Operator),
            (r"\s+", Text),
        ]
    }
