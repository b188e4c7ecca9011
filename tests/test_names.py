"""Variables of the package, configs and scripts are nouns: a reader need not look up what `found`, `own` or `of` is."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PREPOSITIONS = (
    "about above after against among at before below beside between beyond by during for in into near of off on onto out over "
    "through to towards under until up upon via with within without"
)
PRONOUNS = (
    "all another any both each either every few fewer he here how it its itself least less many more most much neither none "
    "now one others own same several she some such that their them then there these they this those what when where which who"
)
PARTICIPLES = (
    "added asked built called changed chosen compared converted copied counted drawn dropped found given held judged kept known listed "
    "made matched measured merged missing named needed printed ranked read removed seen selected shown sorted taken tested "
    "trained tried unknown unused used wanted written"
)
NOT_NOUNS = {*PREPOSITIONS.split(), *PRONOUNS.split(), *PARTICIPLES.split()}


def variables(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """The line and the name of each variable and argument; fields of classes have a meaning by their class."""
    fields = {id(target) for node in ast.walk(tree) if isinstance(node, ast.ClassDef) for target in targets(node.body)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and id(node) not in fields:
            yield node.lineno, node.id
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg


def targets(statements: list[ast.stmt]) -> Iterator[ast.expr]:
    for statement in statements:
        if isinstance(statement, ast.Assign | ast.AnnAssign):
            yield from statement.targets if isinstance(statement, ast.Assign) else [statement.target]


def test_variables_are_nouns():
    source = "class Claim:\n    on: str\ndef f(of, *names):\n    for each in names: found = [n for n in names]"
    assert [name for _, name in variables(ast.parse(source))] == ["of", "names", "each", "found", "n"]
    folders = [ROOT / folder for folder in ("cliptail_jax", "configs", "scripts")]
    unclear = [
        f"{path.relative_to(ROOT)}:{line} {name}"
        for folder in folders
        for path in sorted(folder.rglob("*.py"))
        for line, name in variables(ast.parse(path.read_text(encoding="utf-8")))
        if name.strip("_") in NOT_NOUNS and name != "__all__"
    ]
    assert not unclear, "\n".join(unclear)
