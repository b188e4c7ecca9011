"""The stages that make LAIONet, from the command line and against direct versions."""

import re
import shutil
import string
from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cliptail_jax.concepts.class_lists import imagenet_wnids
from cliptail_jax.concepts.wordnet import synset
from cliptail_jax.curation.laion import retrieve as retrieval
from cliptail_jax.curation.laion.match import match, select
from cliptail_jax.curation.laion.similarity import definition, similarity
from cliptail_jax.host.errors import UserError
from cliptail_jax.pretrained.text_embedder import TextEmbedder
from tests.commands import laion as main

TEXTS = [
    "a Great Dane, asleep",
    "a great dane",
    "paid",
    "an ai(sloth)",
    "ai",
    "tench and goldfish",
    "black-and-tan coonhound",
    "crane",
    None,
    "tench? Tinca tinca!",
    "“tench”",
    "",
]


def direct_matches(texts):
    """The rule, text by text and lemma by lemma: the class of each text, None if it names none or several."""
    lemmas = [(n.replace("_", " "), c) for c, w in enumerate(imagenet_wnids()) for n in set(synset(w).words)]
    times = Counter(lemma for lemma, _ in lemmas)
    of_one = [(re.compile(rf"(?:^| ){re.escape(lemma)}(?: |$)"), c) for lemma, c in lemmas if times[lemma] == 1]
    for text in texts:
        spaced = "".join(" " if c in string.punctuation else c for c in text)
        classes = {c for pattern, c in of_one if pattern.search(spaced)}
        yield classes.pop() if len(classes) == 1 else None


def test_match_is_the_rule():
    table = match(pa.table({"URL": [f"u{i}" for i in range(len(TEXTS))], "TEXT": TEXTS}), "TEXT")
    got = dict(zip(table["URL"].to_pylist(), table["label"].to_pylist()))
    direct = direct_matches(text or "" for text in TEXTS)
    expected = {f"u{i}": label for i, label in enumerate(direct) if label is not None}
    assert got == expected
    assert set(expected) == {"u0", "u3", "u4", "u9"}
    assert table["wnid"].to_pylist() == [imagenet_wnids()[label] for label in table["label"].to_pylist()]


def test_select_keeps_what_is_above_the_threshold_and_safe():
    table = pa.table({
        "similarity": [0.7, 0.71, 0.9, 0.9, 0.9, None],
        "NSFW": ["UNLIKELY", "UNLIKELY", "UNSURE", None, "UNLIKELY", "UNLIKELY"],
    })  # fmt: skip
    assert select(table, 0.7, "NSFW")["similarity"].to_pylist() == [0.71, 0.9]


class HashedWords(TextEmbedder):
    """Stands in for a text tower: the mean of random vectors of its words, at unit length."""

    dim = 16

    def __init__(self):
        pass

    def __call__(self, texts):
        vectors = [
            sum(
                (np.random.default_rng(sum(word.encode())).normal(size=16) for word in (text or "").split()),
                np.zeros(16),
            )
            for text in texts
        ]
        return np.array([v / max(np.linalg.norm(v), 1e-9) for v in vectors], np.float32)


def test_similarity_is_the_cosine_of_text_and_definition(monkeypatch):
    assert definition("n01440764") == f"tench which is {synset('n01440764').definition}"
    embedder = HashedWords()
    monkeypatch.setattr("cliptail_jax.curation.laion.similarity.load_text_embedder", lambda clip: embedder)
    captions = pa.table({"TEXT": ["a tench", definition("n01443537")], "label": [0, 1]})
    table = similarity(captions, "hashed words", "TEXT")
    direct = embedder(["a tench"])[0] @ embedder([definition("n01440764")])[0]
    np.testing.assert_allclose(table["similarity"].to_numpy(), [direct, 1.0], rtol=1e-5)


def test_search_finds_the_best_rows_of_a_corpus_that_comes_in_blocks(monkeypatch):
    monkeypatch.setattr(retrieval, "QUERIES", 7)
    monkeypatch.setattr(retrieval, "BLOCK", 32)
    rng = np.random.default_rng(0)
    queries, corpus = rng.normal(size=(20, 8)).astype(np.float32), rng.normal(size=(130, 8)).astype(np.float32)
    corpus[100] = corpus[3]  # a tie
    scores, rows, part_rows = retrieval.best_rows(queries, [corpus[:50], corpus[50:]], neighbours=10)
    assert part_rows == len(corpus)
    direct = queries.astype(np.float64) @ corpus.T.astype(np.float64)
    expected = np.argsort(-np.round(direct, 5), axis=1, kind="stable")[:, :10]
    np.testing.assert_array_equal(rows, expected)
    np.testing.assert_allclose(scores, np.take_along_axis(direct, expected, 1), rtol=1e-4)


def test_queries_choose_in_order_and_no_row_twice():
    rows = np.array([[5, 3], [5, 3], [3, 5], [7, -1]])
    assert retrieval.assign(rows).tolist() == [5, 3, -1, 7]


@pytest.fixture
def corpus(tmp_path):
    folder = tmp_path / "laion"
    folder.mkdir()
    for number in range(3):
        texts = [f"{text or ''} {number}" for text in TEXTS]
        columns = {
            "similarity": [0.3] * len(texts),
            "URL": [f"{number}/{i}" for i in range(len(texts))],
            "TEXT": texts,
            "NSFW": ["UNLIKELY"] * len(texts),
        }
        pq.write_table(pa.table(columns), folder / f"part-{number}.parquet")
    return folder


def test_a_stage_goes_on_with_the_parts_that_are_missing(corpus, tmp_path, capsys):
    arguments = ["match", f"--input={corpus}", f"--output={tmp_path}/matched", "--processes=1"]
    assert main(arguments) == 0
    assert "12 of 36 rows kept, 3 parts" in capsys.readouterr().out
    old_time = (tmp_path / "matched" / "part-0.parquet").stat().st_mtime_ns
    (tmp_path / "matched" / "part-1.parquet").unlink()
    assert main(arguments) == 0
    assert "4 of 12 rows kept" in capsys.readouterr().out
    assert (tmp_path / "matched" / "part-0.parquet").stat().st_mtime_ns == old_time
    assert sorted(path.name for path in (tmp_path / "matched").glob("*[!s]")) == [f"part-{i}.parquet" for i in range(3)]


def test_results_with_other_settings_and_parts_of_one_name_are_an_error(corpus, tmp_path, capsys):
    select = ["select", f"--input={corpus}", f"--output={tmp_path}/selected", "--processes=1"]
    assert main([*select, "--threshold=0.2"]) == 0 and main([*select, "--threshold=0.2"]) == 0
    assert "0 of 0 rows kept, 3 parts, of which 3 were done before" in capsys.readouterr().out
    assert main([*select, "--threshold=0.1"]) == 2
    assert "selected has results with other settings (threshold=0.2 not 0.1)" in capsys.readouterr().err
    shutil.copytree(corpus, tmp_path / "more" / corpus.name)
    shutil.copytree(corpus, tmp_path / "more" / "again")
    assert main(["match", f"--input={tmp_path}/more/*/*", f"--output={tmp_path}/matched"]) == 2
    assert "has 2 parts called part-0.parquet: rename them" in capsys.readouterr().err


def test_retrieval_writes_each_querys_own_row_under_the_querys_class(corpus, tmp_path, capsys):
    lines = "x\t5\ta Great Dane, asleep 1\ny\t6\ttench and goldfish 2\nz\t7\tpaid 0\n"
    (tmp_path / "queries.tsv").write_text("filepath\tlabel\tcaption\n" + lines)
    output = tmp_path / "matched.parquet"
    retrieval.retrieve(tmp_path / "queries.tsv", str(corpus), "TEXT", HashedWords, output, neighbours=4)
    table = pq.read_table(output).to_pylist()
    assert {(row["URL"], row["label"], row["query"]) for row in table} == {("1/0", 5, 0), ("2/5", 6, 1), ("0/2", 7, 2)}
    assert all(row["similarity"] == pytest.approx(1, abs=1e-5) for row in table)
    assert not list(tmp_path.glob("matched.parquet.search*"))
    assert "3 of 3 captions have a row of their own" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "column", "values", "message"),
    [
        (["match", "--input=/nowhere"], "", [], "no captions file matches /nowhere"),
        (["select", "--nsfw=tag"], "", [], "part.parquet lacks the column 'tag'; it has TEXT, similarity, NSFW, label"),
        (["similarity"], "", [], "similarity needs --clip"),
        (["retrieve", "--clip=unread", "--queries=q"], "", [], "cannot read the table q"),
        (["match"], "TEXT", [1], "part.parquet is int64, not text"),
        (["match"], "TEXT", [b"\xff"], "part.parquet is damaged: Invalid UTF8"),
        (["select"], "similarity", ["0.5"], "part.parquet is string, not a number"),
        (["similarity", "--clip=unread"], "label", [0.5], "part.parquet is double, not a whole number"),
        (["match"], "", None, "part.parquet is damaged"),
    ],
)
def test_a_bad_part_or_argument_of_a_stage_is_one_line(arguments, column, values, message, tmp_path, capsys):
    columns = {"TEXT": ["a"], "similarity": [0.5], "NSFW": ["UNLIKELY"], "label": [0]}
    part = tmp_path / "part.parquet"
    pq.write_table(pa.table(columns | ({column: values} if column else {})), part)
    if values is None:
        part.write_bytes(part.read_bytes()[:-20])
    stage, *options = arguments
    assert main([stage, f"--input={tmp_path}", f"--output={tmp_path}/out", *options, "--processes=1"]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: ") and message in error
    assert not list(tmp_path.glob("out/[!.]*"))


def test_a_retrieval_that_was_stopped_goes_on_with_the_parts_that_are_missing(corpus, tmp_path, monkeypatch):
    captions = [f"x/{i}\t{i}\t{text} {i % 3}\n" for i, text in enumerate(["a tench", "paid", "crane", "an ai(sloth)"])]
    (tmp_path / "q.tsv").write_text("filepath\tlabel\tcaption\n" + "".join(captions))
    arguments = (tmp_path / "q.tsv", str(corpus), "TEXT", HashedWords)
    retrieval.retrieve(*arguments, tmp_path / "whole.parquet", 5)
    searched = retrieval.search_part

    def stops_at_the_second(part, **options):
        if part.name == "part-1.parquet":
            raise KeyboardInterrupt
        return searched(part, **options)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(retrieval, "search_part", stops_at_the_second)
        retrieval.retrieve(*arguments, tmp_path / "stopped.parquet", 5)
    part_rows = []
    with monkeypatch.context() as patch:
        patch.setattr(
            retrieval, "search_part", lambda part, **o: part_rows.append(searched(part, **o)) or part_rows[-1]
        )
        retrieval.retrieve(*arguments, tmp_path / "stopped.parquet", 5)
    assert part_rows == [0, 12, 12]
    result = pq.read_table(tmp_path / "whole.parquet")
    assert result.equals(pq.read_table(tmp_path / "stopped.parquet"))


def test_a_retrieval_on_beam_is_the_same(corpus, tmp_path):
    pytest.importorskip("apache_beam")
    (tmp_path / "q.tsv").write_text("filepath\tlabel\tcaption\nx\t1\ta tench 1\ny\t2\tpaid 0\n")
    arguments = (tmp_path / "q.tsv", str(corpus), "TEXT", HashedWords)
    retrieval.retrieve(*arguments, tmp_path / "here.parquet", 5)
    retrieval.retrieve(*arguments, tmp_path / "beam.parquet", 5, ["--runner=DirectRunner"])
    assert pq.read_table(tmp_path / "here.parquet").equals(pq.read_table(tmp_path / "beam.parquet"))


@pytest.mark.parametrize("type", [pa.binary(), pa.dictionary(pa.int32(), pa.string())])
def test_texts_may_be_bytes_or_categories(corpus, tmp_path, type):
    for part in corpus.iterdir():
        table = pq.read_table(part)
        for name in ("TEXT", "NSFW"):
            table = table.set_column(table.column_names.index(name), name, table[name].cast(type))
        pq.write_table(table, part)
    for stage, input in (("match", corpus), ("select", tmp_path / "match")):
        options = ["--threshold=0.2", "--processes=1"]
        assert main([stage, f"--input={input}", f"--output={tmp_path / stage}", *options]) == 0
    assert pq.read_table(tmp_path / "select" / "part-0.parquet")["TEXT"].type == pa.string()
    assert len(pq.read_table(tmp_path / "select")) == 12


@pytest.mark.parametrize("label", [1000, -1, None])
def test_label_of_no_class_has_no_definition(monkeypatch, label):
    monkeypatch.setattr("cliptail_jax.curation.laion.similarity.embedded_definitions", lambda _: (HashedWords(), None))
    with pytest.raises(UserError, match="of --input has .*label"):
        similarity(pa.table({"TEXT": ["a"], "label": pa.array([label], pa.int64())}), "clip", "TEXT")


def test_stages_follow_one_another(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr("cliptail_jax.curation.laion.similarity.load_text_embedder", lambda clip: HashedWords())
    steps = [
        ["match", f"--input={corpus}", f"--output={tmp_path}/a"],
        ["similarity", f"--input={tmp_path}/a", f"--output={tmp_path}/b", "--clip=hashed words"],
        ["select", f"--input={tmp_path}/b", f"--output={tmp_path}/c", "--threshold=-1"],
    ]
    for step in steps:
        assert main([*step, "--processes=1"]) == 0
    table = pq.read_table(tmp_path / "c" / "part-0.parquet")
    assert table.column_names == ["URL", "TEXT", "NSFW", "wnid", "label", "similarity"] and len(table) == 4
