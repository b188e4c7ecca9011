"""References for tests/pretrained/test_pretrained_tokenizer.py: tokenizers like those of BERT, RoBERTa and XLM-RoBERTa.

tokenizer_*.json are the definitions, trained on the texts of input_fixtures.py; pretrained_token_ids.json has the ids of
those texts by open_clip's wrapper around transformers.
"""

import json
import shutil
import tempfile
from pathlib import Path

import tokenizers
from open_clip.tokenizer import HFTokenizer, get_clean_fn
from parity.input_fixtures import TEXTS
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

CONTEXT = 16
# Options of open_clip's tokenizer by kind, as in text_cfg.tokenizer_kwargs.
OPTIONS = {"bert": {"strip_sep_token": True}, "roberta": {}, "xlm": {"clean": "canonicalize"}}


def bert() -> tokenizers.Tokenizer:
    marks = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    tokenizer = tokenizers.Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    train(tokenizer, trainers.WordPieceTrainer(vocab_size=300, special_tokens=marks, show_progress=False))
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return tokenizer


def roberta() -> tokenizers.Tokenizer:
    marks = ["<s>", "<pad>", "</s>", "<unk>"]
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    options = {"special_tokens": marks, "initial_alphabet": alphabet, "show_progress": False}
    train(tokenizer, trainers.BpeTrainer(vocab_size=400, **options))
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    return tokenizer


def xlm() -> tokenizers.Tokenizer:
    marks = ["<s>", "<pad>", "</s>", "<unk>"]
    tokenizer = tokenizers.Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    options = {"special_tokens": marks, "unk_token": "<unk>", "show_progress": False}
    train(tokenizer, trainers.UnigramTrainer(vocab_size=200, **options))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return tokenizer


def train(tokenizer: tokenizers.Tokenizer, trainer: trainers.Trainer) -> None:
    clean = get_clean_fn("whitespace")
    tokenizer.train_from_iterator([clean(text) for text in TEXTS], trainer)


def main(folder: Path) -> None:
    ids = {}
    for kind, make in (("bert", bert), ("roberta", roberta), ("xlm", xlm)):
        path = folder / f"tokenizer_{kind}.json"
        path.write_text(make().to_str(), encoding="utf-8")
        with tempfile.TemporaryDirectory() as scratch:
            shutil.copy(path, Path(scratch) / "tokenizer.json")
            pad, end = ("[PAD]", "[SEP]") if kind == "bert" else ("<pad>", "</s>")
            names = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": pad, "sep_token": end}
            (Path(scratch) / "tokenizer_config.json").write_text(json.dumps(names))
            theirs = HFTokenizer(scratch, context_length=CONTEXT, **OPTIONS[kind])
            ids[kind] = {"options": OPTIONS[kind], "ids": theirs(TEXTS).tolist()}
        print(path, path.stat().st_size, "bytes")
    (folder / "pretrained_token_ids.json").write_text(
        json.dumps({"context": CONTEXT, **ids}, separators=(",", ":")) + "\n"
    )
