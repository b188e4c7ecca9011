"""References for tests/pretrained: image and text features of a tiny model of each of open_clip's families.

pretrained_parity.json has for each family what is written by hand: its configuration, and that of its Hugging Face encoder
or null; to add a family, add a line with these. The rest is computed here: the names and shapes of its state dict, tokens,
and both features, in float64; with "opened_at", at that image size instead of the model's own. Those in TRAINED also have
image features in training, and the image features after it, with the statistics of that one batch. Weights are random
numbers seeded by their names (tests/pretrained/seeded_weights.py) and not stored.
"""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from open_clip.coca_model import CoCa
from open_clip.model import CLIP, CustomTextCLIP, resize_pos_embed
from parity import timm_members  # noqa: F401, registers models

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "pretrained"))
from seeded_weights import draw_all, draw_images  # noqa: E402

BATCH = 2
WITH_TRAINING = ("fastvit", "fastvit-large")


def build(config: dict, encoder: dict | None, folder: Path) -> torch.nn.Module:
    """open_clip's model; `folder` is one to keep the encoder's configuration in."""
    config = json.loads(json.dumps(config))
    has_custom_text = config.pop("custom_text", False)
    if encoder is not None:
        (folder / "config.json").write_text(json.dumps(encoder))
        config["text_cfg"] |= {"hf_model_name": str(folder), "hf_model_pretrained": False}
        return CustomTextCLIP(**config)
    if has_custom_text:
        return CoCa(**config) if "multimodal_cfg" in config else CustomTextCLIP(**config)
    return CLIP(**config)


def tokens(case: dict) -> np.ndarray:
    """Captions of several lengths: marks 48 and 49 around ids between, then padding."""
    random = np.random.default_rng(1)
    length = case["config"]["text_cfg"].get("context_length", 10)
    ids = random.integers(3, 48, (BATCH, length))
    ids[:, 0] = 48
    for row, end in zip(ids, (length - 1, 4)):
        row[end] = 49
        row[end + 1 :] = (case["encoder"] or {}).get("pad_token_id", 0)
    return ids


def complete(name: str, case: dict) -> dict:
    """The case with what is computed."""
    config, encoder = case["config"], case["encoder"]
    vision = config["vision_cfg"]
    with tempfile.TemporaryDirectory() as folder:
        model = build(config, encoder, Path(folder))
    shapes = {key: list(value.shape) for key, value in model.state_dict().items()}
    weights = {key: torch.from_numpy(value) for key, value in draw_all(shapes).items()}
    size = case.get("opened_at", vision["image_size"])
    if size != vision["image_size"] and "timm_model_name" not in vision:
        model = CLIP(**config | {"vision_cfg": vision | {"image_size": size}})
        weights["visual.positional_embedding"] = weights["visual.positional_embedding"].double()
        resize_pos_embed(weights, model.double())
    model = model.double().eval()
    model.load_state_dict(weights)
    if size != vision["image_size"] and "timm_model_name" in vision:  # as open_clip's factory does
        model.visual.set_input_size(size)
    images = torch.from_numpy(draw_images(BATCH, size)).permute(0, 3, 1, 2).double()
    ids = tokens(case)
    options = {"normalize": False}
    with torch.no_grad():
        image_features = model.encode_image(images, **options).numpy()
        text_features = model.encode_text(torch.from_numpy(ids), **options).numpy()
        if name in WITH_TRAINING:
            training_features = model.train().encode_image(images, **options).numpy()
            later_features = model.eval().encode_image(images, **options).numpy()
            case |= {"trained_features": rounded(training_features), "features_after_training": rounded(later_features)}
    return case | {
        "shapes": shapes,
        "tokens": ids.tolist(),
        "image_features": rounded(image_features),
        "text_features": rounded(text_features),
    }


def rounded(features: np.ndarray) -> list:
    return features.astype(np.float32).tolist()


def references(folder: Path) -> dict[str, str]:
    cases = json.loads((folder / "pretrained_parity.json").read_text(encoding="utf-8"))
    cases = {name: complete(name, case) for name, case in cases.items()}
    lines = [f"{json.dumps(name)}: {json.dumps(case, separators=(',', ':'))}" for name, case in cases.items()]
    return {"pretrained_parity.json": "{\n" + ",\n".join(lines) + "\n}\n"}
