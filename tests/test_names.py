"""Variables and fields of the package, configs and scripts are nouns: a reader need not look up what `found` or `of` is."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PREPOSITIONS = set(
    (
        "about above after against among at before below beside between beyond by during for in into minus near of off on onto out "
        "over through to towards under until up upon via with within without"
    ).split()
)
PRONOUNS = set(
    (
        "all another any both each either every few fewer he here how it its itself least less many more most much neither none "
        "now one others own same several she some such that their them then there these they this those what when where which who"
    ).split()
)
PARTICIPLES = set(
    (
        "added asked built called changed chosen compared converted copied counted drawn dropped fitted found given held judged kept "
        "known listed made matched measured merged missing named needed printed ranked read removed seen selected shown sorted "
        "stated taken tested trained tried unknown unused used varied wanted written"
    ).split()
)
# Nouns and terms of the field in -ed; and fields of configs, of files and of timm, which have names that users and files know.
NOUNS = set(
    (
        "embed lowered red seed speed "
        "adjusted borrowed confounded corrected counterbalanced exchanged finished mirrored predicted pretrained unlabelled unmatched untrimmed"
    ).split()
)
UNCLEAR = PREPOSITIONS | PRONOUNS | PARTICIPLES
BEGINNINGS = {"as", "of", "to"}  # words with which no noun phrase begins
# The section data.removed has a name that commands, configs and stored runs of users have; losses have those of optax and jax.numpy.
EXCEPTIONS = {f"cliptail_jax/{name}" for name in ("config/training.py removed", "losses.py where", "losses.py counted")}


def variables(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """The line and the name of each variable, argument, field and property."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.attr
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.FunctionDef) and any(map(is_property, node.decorator_list)):
            yield node.lineno, node.name


def is_noun(name: str, path: str) -> bool:
    """Whether a name in a file is no word or phrase that is refused. Constants may be participles, such as SUPPORTED."""
    word = name.strip("_").lower()
    if word in (UNCLEAR - PARTICIPLES if name.isupper() else UNCLEAR):
        return name == "__all__" or f"{path} {name}" in EXCEPTIONS
    is_participle = re.fullmatch("[a-z]+ed", word) and word not in NOUNS and not name[0].isupper()
    return not is_participle and word.partition("_")[0] not in BEGINNINGS


def is_property(decorator: ast.expr) -> bool:
    return ast.unparse(decorator).split(".")[-1] in ("property", "cached_property")


def test_variables_and_fields_are_nouns():
    source = "def f(of, *names):\n    for each in names: found = [n for n in names]"
    assert {name for _, name in variables(ast.parse(source))} == {"of", "names", "each", "found", "n"}
    source = "class Claim:\n    by: str\n    @property\n    def on(self): self.at = 1\n    def run(self): pass"
    assert {name for _, name in variables(ast.parse(source))} == {"by", "on", "at", "self"}
    assert all(is_noun(name, "a.py") for name in ("seed", "predicted", "is_trained", "trained_models", "offset"))
    assert not any(
        is_noun(name, "a.py") for name in ("of", "found", "measured", "_scaled", "of_class", "OF_CLASS", "to_add")
    )
    folders = [ROOT / folder for folder in ("cliptail_jax", "configs", "scripts")]
    unclear = [
        f"{path.relative_to(ROOT)}:{line} {name}"
        for folder in folders
        for path in sorted(folder.rglob("*.py"))
        for line, name in variables(ast.parse(path.read_text(encoding="utf-8")))
        if not is_noun(name, path.relative_to(ROOT).as_posix())
    ]
    assert not unclear, "\n".join(unclear)
