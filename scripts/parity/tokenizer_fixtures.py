"""References for tests/pretrained/test_pretrained_tokenizer.py: tokenizers like those of BERT, RoBERTa, XLM-RoBERTa, T5 and Gemma.

tokenizer_*.json are small definitions of these kinds, which Hugging Face's trainers made from the texts of
clip_token_ids.json. They are kept, since training breaks ties differently each time. pretrained_token_ids.json has the ids of
those texts by open_clip's wrapper around transformers; the context, and for each tokenizer the wrapper's options and its
tokenizer_config.json, are written by hand. SigLIP pads with the end token, though T5 has another token for that; SigLIP 2 has
Gemma's tokenizer with an end token and without a start token.
"""

import json
import shutil
import tempfile
from pathlib import Path

from open_clip.tokenizer import HFTokenizer
from parity.input_fixtures import read_texts


def references(folder: Path) -> dict[str, str]:
    texts, ids = read_texts(folder), {}
    cases = json.loads((folder / "pretrained_token_ids.json").read_text(encoding="utf-8"))
    context = cases.pop("context")
    for kind, case in cases.items():
        with tempfile.TemporaryDirectory() as scratch:
            shutil.copy(folder / f"tokenizer_{kind.split('-')[0]}.json", Path(scratch) / "tokenizer.json")
            (Path(scratch) / "tokenizer_config.json").write_text(json.dumps(case["settings"]))
            theirs = HFTokenizer(scratch, context_length=context, **case["options"])
            ids[kind] = case | {"ids": theirs(texts).tolist()}
    return {"pretrained_token_ids.json": json.dumps({"context": context, **ids}, separators=(",", ":")) + "\n"}
