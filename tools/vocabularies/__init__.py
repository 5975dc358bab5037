"""Workshop that makes the large grammars from word lists of other packages; not installed.

``python -m tools.vocabularies --help`` says what it needs; README.md says where that comes from.
"""
