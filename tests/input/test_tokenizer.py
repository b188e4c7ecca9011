import gzip
import itertools
import json
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cliptail_jax.host.errors import UserError
from cliptail_jax.input.tokenizer import BYTE_SYMBOLS, Tokenizer, clean, load_clip_tokenizer, train_tokenizer, words

DATA = Path(__file__).parents[1] / "data"
CLIP_MERGES = DATA / "clip_merges_subset.txt"
CLIP_IDS = json.loads((DATA / "clip_token_ids.json").read_text(encoding="utf-8"))
CAPTIONS = ["a cat sat on a mat", "the black cat and the white cat", "a café on the corner, don't ask"] * 3


@pytest.fixture(scope="module")
def trained_tokenizer() -> Tokenizer:
    return train_tokenizer(CAPTIONS, vocab_size=540, context_length=24)


def slow_ids(text: str, merges: list[tuple[str, str]]) -> list[int]:
    """Byte-pair encoding as it is defined: of the neighbours in a word, the merge learned first goes first."""
    rank = {pair: i for i, pair in reversed(list(enumerate(map(tuple, merges))))}
    symbols_in_order = dict.fromkeys([*BYTE_SYMBOLS, *("".join(pair) for pair in merges)])
    id_of = {symbol: i for i, symbol in enumerate(symbols_in_order)}
    # The visible stand-ins of the bytes: printable Latin-1 stands for itself, the rest for 256 and on, in order.
    visible = [b for b in range(256) if chr(b).isprintable() and chr(b) != " "]
    stand_in = {b: chr(b) for b in visible} | {
        b: chr(256 + i) for i, b in enumerate(sorted(set(range(256)) - set(visible)))
    }
    ids = []
    for word in words(text):
        symbols = [stand_in[b] for b in word.encode()]
        symbols[-1] += "</w>"
        while pairs := [pair for pair in itertools.pairwise(symbols) if pair in rank]:
            best_pair, new_symbols, i = min(pairs, key=rank.get), [], 0
            while i < len(symbols):
                step = 2 if tuple(symbols[i : i + 2]) == best_pair else 1
                new_symbols.append("".join(symbols[i : i + step]))
                i += step
            symbols = new_symbols
        ids += [id_of[symbol] for symbol in symbols]
    return ids


@pytest.mark.parametrize("context_length, name", [(77, "merges.txt"), (8, "merges.txt.gz")])
def test_ids_equal_open_clip(context_length, name, tmp_path):
    merges = CLIP_MERGES.read_bytes()
    (tmp_path / name).write_bytes(gzip.compress(merges) if name.endswith(".gz") else merges)
    tokenizer = load_clip_tokenizer(tmp_path / name, context_length)
    # Merge number r of CLIP's file has id 512 + r; the marks have the last two of 49,408 ids.
    clip_id = np.array([*range(512), *(512 + rank for rank in CLIP_IDS["merge_ranks"]), 49406, 49407])
    ids = tokenizer(CLIP_IDS["texts"])
    np.testing.assert_array_equal(clip_id[ids], CLIP_IDS[f"ids_{context_length}"])


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=30) | st.text("acehtw 'dn!1é&;", max_size=40))
def test_ids_equal_slow_byte_pair_encoding(trained_tokenizer, text):
    row = trained_tokenizer([text])[0]
    expected = [
        trained_tokenizer.vocab_size - 2,
        *slow_ids(text, trained_tokenizer._merges)[:22],
        trained_tokenizer.vocab_size - 1,
    ]
    assert row.tolist() == expected + [0] * (24 - len(expected))


@pytest.mark.parametrize(
    ("text", "clean_text"),
    [
        ("  Two\n\tDogs  ", "two dogs"),
        ("R&amp;amp;D &lt;b&gt;", "r&d <b>"),
        ("<i>&amp;eacute;</i>", "<i>é</i>"),
        ("caf\u00c3\u00a9", "café"),
        ("\u201cquoted\u201d", '"quoted"'),
        ("\ufb01ne\u00a0\uff26\uff35\uff2c\uff2c", "fine full"),
    ],
)
def test_text_is_cleaned(text, clean_text):
    assert clean(text) == clean_text


def test_words_are_letters_single_digits_contractions_and_the_rest():
    assert words("Don't buy 42, it's 'x'...") == ["don", "'t", "buy", "4", "2", ",", "it", "'s", "'", "x", "'..."]


def test_training_is_the_same_in_another_process():
    # One-off words of equal frequency: nearly every merge is a tie.
    texts = ["".join(map(chr, range(start, start + 9))) for start in range(0x400, 0x500, 7)]
    program = (
        "from cliptail_jax.input.tokenizer import train_tokenizer\n"
        f"print(train_tokenizer({texts!r}, 700, 8)._merges == {train_tokenizer(texts, 700, 8)._merges!r})"
    )
    run = [sys.executable, "-c", program]
    root = Path(__file__).parents[2]
    assert subprocess.run(run, cwd=root, capture_output=True, text=True, check=True).stdout.strip() == "True"


def test_saved_and_pickled_tokenizers_give_the_same_ids(trained_tokenizer, tmp_path):
    trained_tokenizer.save(tmp_path / "tokenizer.json")
    for copy in (Tokenizer.load(tmp_path / "tokenizer.json"), pickle.loads(pickle.dumps(trained_tokenizer))):
        assert (copy.vocab_size, copy.context_length) == (
            trained_tokenizer.vocab_size,
            trained_tokenizer.context_length,
        )
        np.testing.assert_array_equal(copy(CLIP_IDS["texts"]), trained_tokenizer(CLIP_IDS["texts"]))


def test_a_vocabulary_is_padded_up_to_the_given_size(trained_tokenizer, tmp_path):
    small_tokenizer = train_tokenizer(CAPTIONS[:1], 800, 24)
    padded_tokenizer = train_tokenizer(CAPTIONS[:1], 800, 24, multiple=64)
    assert small_tokenizer.vocab_size % 64 and padded_tokenizer.vocab_size == small_tokenizer.vocab_size // 64 * 64 + 64
    np.testing.assert_array_equal(padded_tokenizer(CAPTIONS), small_tokenizer(CAPTIONS))
    assert train_tokenizer(CAPTIONS, 540, 24, multiple=64).vocab_size == trained_tokenizer.vocab_size == 540
    padded_tokenizer.save(tmp_path / "tokenizer.json")
    assert Tokenizer.load(tmp_path / "tokenizer.json").vocab_size == padded_tokenizer.vocab_size
    content = json.loads((tmp_path / "tokenizer.json").read_text(encoding="utf-8"))
    del content["vocab_size"]  # a file of an earlier version
    (tmp_path / "tokenizer.json").write_text(json.dumps(content), encoding="utf-8")
    assert Tokenizer.load(tmp_path / "tokenizer.json").vocab_size == small_tokenizer.vocab_size


def test_merges_that_build_the_same_symbol_share_an_id():
    tokenizer = Tokenizer([("a", "b"), ("b", "c</w>"), ("ab", "c</w>"), ("a", "bc</w>")], 8)
    assert tokenizer.vocab_size == 514 + 3
    assert tokenizer(["abc"])[0, 1] == 514


@pytest.mark.parametrize(
    ("load", "name", "content", "message"),
    [
        (load_clip_tokenizer, "captions.txt", b"header\nthree words here\n", "captions.txt is not a list of merges"),
        # Without a time, which would be another in each process that collects the tests.
        (
            *(load_clip_tokenizer, "cut.txt.gz", gzip.compress(b"header\na b\n" * 50, mtime=0)[:-12]),
            "cannot read tokenizer merges from .*cut.txt.gz",
        ),
        (load_clip_tokenizer, "absent.txt", None, "no tokenizer merges at .*absent.txt"),
        (Tokenizer.load, "tokenizer.json", b"{", "tokenizer.json is damaged"),
        (Tokenizer.load, "tokenizer.json", b'{"context_length": 8}', "tokenizer.json is not a saved tokenizer"),
        (Tokenizer.load, "tokenizer.json", None, "no tokenizer at .*tokenizer.json"),
        (lambda _: train_tokenizer(CAPTIONS, 513, 8), "", None, "vocab_size is 513"),
        (lambda _: Tokenizer([], 1), "", None, "context_length is 1"),
    ],
)
def test_a_file_that_is_no_tokenizer_is_named(tmp_path, load, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        load(tmp_path / name)
