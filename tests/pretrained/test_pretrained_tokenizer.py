import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from cliptail_jax.host.errors import UserError
from cliptail_jax.input.huggingface_tokenizer import load_tokenizer
from cliptail_jax.input.tokenizer import load_clip_tokenizer
from tests.pretrained.tiny_models import TOKEN_IDS, write_tokenizer

DATA = Path(__file__).parents[1] / "data"
TEXTS = json.loads((DATA / "clip_token_ids.json").read_text(encoding="utf-8"))["texts"]
MERGES = DATA / "clip_merges_subset.txt"


KINDS = [kind for kind in TOKEN_IDS if kind != "context"]
SIGLIP = {"context_length": 8, "vocab_size": 183, "no_causal_mask": True, "tokenizer_kwargs": {"clean": "canonicalize"}}


@pytest.mark.parametrize("kind", KINDS)
def test_ids_equal_those_of_open_clip_and_transformers(kind, tmp_path):
    config = {"context_length": TOKEN_IDS["context"], "tokenizer_kwargs": TOKEN_IDS[kind]["options"]}
    tokenizer = load_tokenizer(write_tokenizer(tmp_path, kind), config)
    ids = tokenizer(TEXTS)
    assert ids.dtype == np.int32
    np.testing.assert_array_equal(ids, TOKEN_IDS[kind]["ids"])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(tokenizer))(TEXTS), ids)
    (tmp_path / "saved.json").write_text(tokenizer.to_json())  # which needs no other file
    np.testing.assert_array_equal(load_tokenizer(tmp_path / "saved.json", config)(TEXTS), ids)


def test_a_usual_name_is_taken_for_the_padding_where_nothing_says_so_and_nothing_depends_on_it():
    config = {"context_length": TOKEN_IDS["context"], "tokenizer_kwargs": TOKEN_IDS["xlm"]["options"]}
    np.testing.assert_array_equal(load_tokenizer(DATA / "tokenizer_xlm.json", config)(TEXTS), TOKEN_IDS["xlm"]["ids"])


def test_tokens_that_a_model_lacks_are_refused_only_in_a_text(tmp_path):
    path = write_tokenizer(tmp_path, "siglip")
    assert load_tokenizer(path, SIGLIP)(["a <extra_id_0>"]).max() < 183  # canonical text has no such token
    tokenizer = load_tokenizer(path, SIGLIP | {"tokenizer_kwargs": {}})
    refused = "the text 'a <extra_id_0>' has the token '<extra_id_0>', which the model does not"
    with pytest.raises(UserError, match=refused):
        tokenizer(["a", "a <extra_id_0>"])


UNKNOWN_PADDING = "does not name the token that pads texts: put its tokenizer_config.json"


@pytest.mark.parametrize(
    "files, config, message",
    [
        ({"tokenizer_config.json": "{"}, {}, "tokenizer_config.json is damaged"),
        ({"tokenizer_config.json": '{"pad_token": "<none>"}'}, {}, "has pad_token='<none>', which is not in"),
        ({"tokenizer_config.json": None}, {}, UNKNOWN_PADDING),
        ({}, {"vocab_size": 182}, "183 tokens, but the model's vocabulary has 182"),
        ({}, {"tokenizer_kwargs": {"language": "de"}}, "tokenizer_kwargs.language"),
        ({"tokenizer.json": '{"model": {}}'}, {}, "is not a tokenizer.json"),
    ],
)
def test_files_and_options_that_cannot_be_used_are_named(files, config, message, tmp_path):
    path = write_tokenizer(tmp_path, "siglip")
    for name, content in files.items():
        (tmp_path / name).unlink() if content is None else (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=message):
        load_tokenizer(path, SIGLIP | config)


def write_clip_definition(path: Path, marks: tuple[str, str], joined: bool) -> Path:
    """CLIP's tokenizer as Hugging Face publishes it: merges as strings or pairs, the two marks under its own names."""
    ours = json.loads(load_clip_tokenizer(MERGES).to_json())
    vocabulary, merges = ours["model"]["vocab"], ours["model"]["merges"]
    ids = sorted(vocabulary.values())[-2:]
    other_tokens = {symbol: id_ for symbol, id_ in vocabulary.items() if id_ not in ids}
    model = {
        "type": "BPE",
        "end_of_word_suffix": "</w>",
        "vocab": {**other_tokens, **dict(zip(marks, ids, strict=True))},
        "merges": [" ".join(merge) for merge in merges] if joined else merges,
    }
    path.write_text(json.dumps({"model": model, "added_tokens": []}), encoding="utf-8")
    return path


@pytest.mark.parametrize("joined", [False, True])
def test_a_definition_with_clips_vocabulary_gives_clips_tokenizer(tmp_path, joined):
    path = write_clip_definition(tmp_path / "tokenizer.json", ("<|startoftext|>", "<|endoftext|>"), joined)
    tokenizer = load_tokenizer(path, {"context_length": 8})
    np.testing.assert_array_equal(tokenizer(TEXTS), load_clip_tokenizer(MERGES, 8)(TEXTS))


def test_another_numbering_of_tokens_is_refused(tmp_path):
    path = write_clip_definition(tmp_path / "tokenizer.json", ("<|endoftext|>", "<|startoftext|>"), False)
    with pytest.raises(UserError, match="has other numbers for its tokens than CLIP's"):
        load_tokenizer(path, {})


def test_a_token_is_put_before_texts_in_place_of_what_was_around_them(tmp_path):
    """NLLB's published definition has the language after the end of a text; transformers puts it before the text."""
    content = json.loads((DATA / "tokenizer_xlm.json").read_text())
    language = load_tokenizer(DATA / "tokenizer_xlm.json", {}).vocab_size
    content["added_tokens"].append({**content["added_tokens"][0], "id": language, "content": "eng_Latn"})
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(content))
    plain, marked = load_tokenizer(path, {}), load_tokenizer(path, {"start_token": "eng_Latn"})
    (plain_ids,), (ids,) = plain(["a photo of a cat"]), marked(["a photo of a cat"])
    assert ids.tolist() == [language, *plain_ids[1:]] and plain_ids[0] != language and plain.end_id in plain_ids
    assert marked.pad_id == plain.pad_id == ids[-1]
