"""References for tests/pretrained/test_pretrained_tokenizer.py: tokenizers like those of BERT, RoBERTa, XLM-RoBERTa, T5 and Gemma.

tokenizer_*.json are the definitions, trained on the texts of clip_token_ids.json; one that exists is kept, since training
breaks ties differently each time. pretrained_token_ids.json has the ids of those texts by open_clip's wrapper around
transformers; the context, and for each tokenizer the wrapper's options and its tokenizer_config.json, are written by hand.
SigLIP pads with the end token, though T5 has another token for that; SigLIP 2 has Gemma's tokenizer with an end token and
without a start token.
"""

import json
import tempfile
from pathlib import Path

import tokenizers
from open_clip.tokenizer import HFTokenizer, get_clean_fn
from parity.input_fixtures import read_texts
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

EXTRA_IDS = 4  # of 100


def bert(texts: list[str]) -> tokenizers.Tokenizer:
    marks = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    tokenizer = tokenizers.Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    train(tokenizer, texts, trainers.WordPieceTrainer(vocab_size=300, special_tokens=marks, show_progress=False))
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return tokenizer


def roberta(texts: list[str]) -> tokenizers.Tokenizer:
    marks = ["<s>", "<pad>", "</s>", "<unk>"]
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    options = {"special_tokens": marks, "initial_alphabet": alphabet, "show_progress": False}
    train(tokenizer, texts, trainers.BpeTrainer(vocab_size=400, **options))
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    return tokenizer


def xlm(texts: list[str]) -> tokenizers.Tokenizer:
    marks = ["<s>", "<pad>", "</s>", "<unk>"]
    tokenizer = tokenizers.Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    options = {"special_tokens": marks, "unk_token": "<unk>", "show_progress": False}
    train(tokenizer, texts, trainers.UnigramTrainer(vocab_size=200, **options))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return tokenizer


def siglip(texts: list[str]) -> tokenizers.Tokenizer:
    """T5's kind, whose vocabulary ends with tokens that no text gets."""
    marks, extra = ["<pad>", "</s>", "<unk>"], [f"<extra_id_{i}>" for i in reversed(range(EXTRA_IDS))]
    tokenizer = tokenizers.Tokenizer(models.Unigram())
    words = pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(list(words))
    options = {"special_tokens": marks, "unk_token": "<unk>", "show_progress": False}
    train(tokenizer, texts, trainers.UnigramTrainer(vocab_size=200, **options), "canonicalize")
    definition = json.loads(tokenizer.to_str())
    definition["model"]["vocab"] += [[token, 0.0] for token in extra]
    tokenizer = tokenizers.Tokenizer.from_str(json.dumps(definition))
    tokenizer.add_special_tokens(extra)
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return tokenizer


def siglip2(texts: list[str]) -> tokenizers.Tokenizer:
    """Gemma's kind: byte-pair encoding with a symbol for a space, and bytes for what it does not know."""
    marks = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"]
    tokenizer = tokenizers.Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    symbols = [*marks, *(f"<0x{byte:02X}>" for byte in range(256))]
    options = {"special_tokens": symbols, "limit_alphabet": 40, "show_progress": False}
    train(tokenizer, texts, trainers.BpeTrainer(vocab_size=500, **options), "canonicalize")
    definition = json.loads(tokenizer.to_str())
    definition["added_tokens"] = [token for token in definition["added_tokens"] if token["content"] in marks]
    tokenizer = tokenizers.Tokenizer.from_str(json.dumps(definition))
    tokenizer.post_processor = processors.TemplateProcessing(single="$A <eos>", special_tokens=[("<eos>", 1)])
    return tokenizer


def train(
    tokenizer: tokenizers.Tokenizer, texts: list[str], trainer: trainers.Trainer, cleaning: str = "whitespace"
) -> None:
    clean = get_clean_fn(cleaning)
    tokenizer.train_from_iterator([clean(text) for text in texts], trainer)


def references(folder: Path) -> dict[str, str]:
    texts, files, ids = read_texts(folder), {}, {}
    makers = {make.__name__: make for make in (bert, roberta, xlm, siglip, siglip2)}
    cases = json.loads((folder / "pretrained_token_ids.json").read_text(encoding="utf-8"))
    context = cases.pop("context")
    for kind, case in cases.items():
        name = kind.split("-")[0]
        path = folder / f"tokenizer_{name}.json"
        if path.name not in files:
            files[path.name] = path.read_text(encoding="utf-8") if path.exists() else makers[name](texts).to_str()
        with tempfile.TemporaryDirectory() as scratch:
            (Path(scratch) / "tokenizer.json").write_text(files[path.name], encoding="utf-8")
            (Path(scratch) / "tokenizer_config.json").write_text(json.dumps(case["settings"]))
            theirs = HFTokenizer(scratch, context_length=context, **case["options"])
            ids[kind] = case | {"ids": theirs(texts).tolist()}
    return files | {"pretrained_token_ids.json": json.dumps({"context": context, **ids}, separators=(",", ":")) + "\n"}
