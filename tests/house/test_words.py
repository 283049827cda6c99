"""The vocabulary of this project, held over its docstrings, comments, messages and documents."""

from __future__ import annotations

import ast
import io
import re
import tokenize
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
WORDS = tomllib.loads((HERE / "vocabulary.toml").read_text(encoding="utf-8"))["word"]
# These two must be able to name what is banned.
OWN = {HERE / "vocabulary.toml", Path(__file__)}


def files() -> list[Path]:
    """Every file that people read: code, its tests, documents, the scripts of the notebooks."""
    found = [
        path
        for folder in ("mta_models", "benchmarks", "notebooks", "docs", "tests", ".ci")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in {".py", ".pyi", ".md", ".toml"}
    ]
    return sorted({*found, *ROOT.glob("*.md"), ROOT / "pyproject.toml"} - OWN)


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def prose(path: Path) -> Iterator[tuple[int, str]]:
    """What people read of a file, in pieces, each with the line that it begins on (from 1).

    Of code: texts (docstrings and messages; not what stands in the braces of an f-string), and runs
    of comments, whose signs are taken off. Names are not read. Any other file is one piece.
    """
    text = path.read_text(encoding="utf-8")
    if path.suffix not in {".py", ".pyi"}:
        yield 1, text
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value
    first, run = 0, []
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            first = first if run else token.start[0]
            run.append(token.string.lstrip("#: "))
        elif run and token.type != tokenize.NL:
            yield first, "\n".join(run)
            run = []


PATTERNS = [
    (
        re.compile(rf"(?<!\w)(?:{word['banned']})(?!\w)".replace(" ", r"\s+"), re.IGNORECASE),
        [re.compile(each.replace(" ", r"\s+"), re.IGNORECASE) for each in word.get("allow", [])],
        word["prefer"],
    )
    for word in WORDS
]


def banned_in(text: str) -> list[tuple[int, str, str]]:
    """Each banned word of a text: in which line (from 0), as it stands there, what to write."""
    return [
        (text.count("\n", 0, match.start()), " ".join(match[0].split()), prefer)
        for pattern, allowed, prefer in PATTERNS
        for match in pattern.finditer(text)
        if not any(
            around.start() <= match.start() and match.end() <= around.end()
            for each in allowed
            for around in each.finditer(text)
        )
    ]


def findings(path: Path) -> list[tuple[int, str, str]]:
    """Each banned word of a file: its line, as it stands there, what to write."""
    return sorted(
        (start + line, word, prefer)
        for start, text in prose(path)
        for line, word, prefer in banned_in(text)
    )


def test_each_word_says_what_to_write_and_why():
    for word in WORDS:
        assert word.keys() <= {"banned", "prefer", "why", "allow"}
        assert word["prefer"]
        assert word["why"].endswith(".")


def test_a_banned_word_is_found_where_people_read_it_and_only_there(tmp_path):
    file = tmp_path / "example.py"
    file.write_text(
        '"""Of the\nkeenest users, so\nmany."""\n'
        "evidence = 3  # a name is not read, a comment with evidence is\n"
        'message = f"the crowd of {evidence}"\n'
        'allowed = "the method of moments"\n'
        "#: Blips and\n#: levels\nx = 1\n",
        encoding="utf-8",
    )
    expected = [(2, "keenest"), (2, "so many"), (4, "evidence"), (5, "crowd"), (7, "Blips")]
    assert [(line, word) for line, word, _ in findings(file)] == [*expected, (8, "levels")]
    note = tmp_path / "note.md"
    note.write_text("Twice\ntold.\n", encoding="utf-8")
    assert [(line, word) for line, word, _ in findings(note)] == [(2, "told")]


def test_no_banned_word_is_written():
    found = [
        f"{name(path)}:{line}: {word!r}; write: {prefer}"
        for path in files()
        for line, word, prefer in findings(path)
    ]
    assert found == []
