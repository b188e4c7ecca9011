"""References for tests/pretrained: image and text features of a tiny model of each of open_clip's families.

Weights are random numbers seeded by their names (tests/pretrained/seeded_weights.py) and not stored; features are
computed in float64. pretrained_parity.json has for each family its configuration (and that of its Hugging Face encoder), the names
and shapes of its state dict, tokens, and both features; of those in OPENED_AT, at that image size instead of their own. Those in
TRAINED also have image features in training, and the image features after it, with the statistics of that one batch.
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
TEXT = {"context_length": 10, "vocab_size": 50, "width": 32, "heads": 4, "layers": 2}
VIT = {"image_size": 32, "patch_size": 8, "width": 32, "head_width": 8, "layers": 2}
RESNET = {"image_size": 64, "layers": [1, 1, 1, 1], "width": 8, "head_width": 32, "patch_size": None}
CLIPA_TEXT = {**TEXT, "pool_type": "last", "no_causal_mask": True}
CLIPA_VIT = {**VIT, "no_ln_pre": True, "pool_type": "avg", "final_ln_after_pool": True}
CONVNEXT = {"timm_pool": "", "timm_proj": "linear", "timm_drop": 0.0, "timm_drop_path": 0.1, "image_size": 64}
SIGLIP_TEXT = {**TEXT, "pool_type": "last", "no_causal_mask": True, "proj_bias": True, "norm_kwargs": {"eps": 1e-3}}
SIGLIP2_TEXT = {**SIGLIP_TEXT, "mlp_ratio": 3.7362, "act_kwargs": {"approximate": "tanh"}}
SIGLIP_I18N_TEXT = {**SIGLIP_TEXT, "proj_bias": False, "proj_type": "none"}
SIGLIP_VIT = {"image_size": 32, "timm_model_name": "siglip_parity_32", "timm_pool": "map", "timm_proj": "none"}
SIGLIP2_VIT = {**SIGLIP_VIT, "image_size": 36, "timm_model_name": "siglip_parity_tanh_36"}
VITAMIN = {**CONVNEXT, "image_size": 32}
SWIN = {"timm_pool": "", "timm_proj": "linear", "image_size": 32}
FASTVIT = {"timm_pool": "avg", "timm_proj": None, "timm_drop": 0.0, "timm_drop_path": 0.0, "image_size": 64}
MOBILECLIP_TEXT = {**TEXT, "no_causal_mask": True}
COCA_TEXT = {**TEXT, "embed_cls": True, "output_tokens": True}
COCA_VIT = {**VIT, "attentional_pool": True, "attn_pooler_heads": 4, "attn_pooler_queries": 5, "output_tokens": True}
ENCODER = {
    "vocab_size": 50,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 20,
    "hidden_act": "gelu",
}
BERT = {**ENCODER, "model_type": "bert", "type_vocab_size": 2, "layer_norm_eps": 1e-2, "pad_token_id": 0}
ROBERTA = {**ENCODER, "model_type": "roberta", "type_vocab_size": 1, "layer_norm_eps": 1e-3, "pad_token_id": 1}
XLM = {**ROBERTA, "model_type": "xlm-roberta"}
MT5 = {
    "model_type": "mt5",
    "vocab_size": 50,
    "d_model": 32,
    "d_kv": 12,
    "d_ff": 48,
    "num_layers": 2,
    "num_heads": 4,
    "relative_attention_num_buckets": 8,
    "relative_attention_max_distance": 6,
    "layer_norm_epsilon": 1e-3,
    "feed_forward_proj": "gated-gelu",
    "pad_token_id": 0,
}
NLLB = {
    "model_type": "m2m_100",
    "vocab_size": 50,
    "d_model": 32,
    "encoder_layers": 2,
    "encoder_attention_heads": 4,
    "encoder_ffn_dim": 48,
    "max_position_embeddings": 20,
    "activation_function": "relu",
    "scale_embedding": True,
    "pad_token_id": 1,
}


def encoder_text(projection: str | None, pooler: str) -> dict:
    return {"hf_model_name": "", "hf_proj_type": projection, "hf_pooler_type": pooler}


def timm(name: str, pool: str = "token", projection: str | None = None) -> dict:
    return {"image_size": 32, "timm_model_name": name, "timm_pool": pool, "timm_proj": projection}


# Family -> embed_dim, quick_gelu, vision_cfg, text_cfg, configuration of the Hugging Face encoder.
FAMILIES = {
    "resnet": (16, False, RESNET, TEXT, None),
    "resnet-quickgelu": (16, True, {**RESNET, "layers": [2, 1, 1, 1]}, TEXT, None),
    "vit": (16, False, VIT, TEXT, None),
    "vit-smaller-images": (16, False, VIT, TEXT, None),
    "vit-larger-images": (16, False, VIT, TEXT, None),
    "vit-quickgelu": (16, True, VIT, TEXT, None),
    "vit-wide-mlp": (16, False, {**VIT, "width": 48, "head_width": 12, "mlp_ratio": 4.3637}, TEXT, None),
    "vit-layer-scale": (16, False, {**VIT, "ls_init_value": 1e-4}, {**TEXT, "ls_init_value": 1e-4}, None),
    "vit-mean-of-normed": (16, False, {**VIT, "pool_type": "avg"}, {**TEXT, "pool_type": "eos", "eos_id": 49}, None),
    "clipa": (16, False, CLIPA_VIT, CLIPA_TEXT, None),
    "coca": (16, False, COCA_VIT, COCA_TEXT, None),
    "convnext": (16, False, {**CONVNEXT, "timm_model_name": "convnext_parity"}, TEXT, None),
    "convnext-mlp": (16, False, {**CONVNEXT, "timm_model_name": "convnext_parity_d", "timm_proj": "mlp"}, TEXT, None),
    "eva01": (16, False, timm("eva01_parity"), TEXT, None),
    "eva02": (16, False, timm("eva02_parity"), TEXT, None),
    "eva02-larger-images": (16, False, timm("eva02_parity"), TEXT, None),
    "eva02-post-norm": (16, False, timm("eva02_parity_post_norm"), TEXT, None),
    "pe-core": (16, False, timm("pe_core_parity", "map"), TEXT, None),
    "pe-core-without-token": (16, False, timm("pe_core_parity_without_token", "map"), TEXT, None),
    "pe-core-without-token-smaller-images": (16, False, timm("pe_core_parity_without_token", "map"), TEXT, None),
    "mobileclip-vit": (16, False, timm("mobileclip_vit_parity"), TEXT, None),
    "mobileclip-vit-larger-images": (16, False, timm("mobileclip_vit_parity"), TEXT, None),
    "token-vit": (16, False, timm("token_vit_parity"), TEXT, None),
    "gap-vit": (16, False, timm("gap_vit_parity", "", "linear"), TEXT, None),
    "siglip": (32, False, SIGLIP_VIT, SIGLIP_TEXT, None),
    "siglip-larger-images": (32, False, SIGLIP_VIT, SIGLIP_TEXT, None),
    "siglip-i18n": (32, False, SIGLIP_VIT, SIGLIP_I18N_TEXT, None),
    "siglip2": (32, False, SIGLIP2_VIT, SIGLIP2_TEXT, None),
    "vitamin": (16, False, {**VITAMIN, "timm_model_name": "vitamin_parity"}, TEXT, None),
    "vitamin-larger-images": (16, False, {**VITAMIN, "timm_model_name": "vitamin_parity"}, TEXT, None),
    "vitamin-any-size": (16, False, {**VITAMIN, "timm_model_name": "vitamin_parity_any_size"}, TEXT, None),
    "fastvit": (16, False, {**FASTVIT, "timm_model_name": "fastvit_parity"}, MOBILECLIP_TEXT, None),
    "fastvit-large": (16, False, {**FASTVIT, "timm_model_name": "fastvit_parity_large"}, MOBILECLIP_TEXT, None),
    "swin": (16, False, {**SWIN, "timm_model_name": "swin_parity"}, TEXT, None),
    "relpos": (16, False, {**SWIN, "timm_model_name": "relpos_parity"}, TEXT, None),
    "relpos-larger-images": (16, False, {**SWIN, "timm_model_name": "relpos_parity"}, TEXT, None),
    "roberta-mean": (16, True, VIT, encoder_text("mlp", "mean_pooler"), ROBERTA),
    "xlm-roberta-mean": (32, False, VIT, encoder_text(None, "mean_pooler"), XLM),
    "bert-pooler": (16, False, VIT, encoder_text("linear", "cls_pooler"), BERT),
    "mt5-mean": (16, False, VIT, encoder_text("mlp", "mean_pooler"), MT5),
    "nllb-first-token": (16, False, VIT, encoder_text("linear", "cls_pooler"), NLLB),
    "nllb-mean": (32, False, VIT, encoder_text(None, "mean_pooler"), {**NLLB, "scale_embedding": False}),
    "bert-class-token": (16, False, VIT, encoder_text("linear", "cls_last_hidden_state_pooler"), BERT),
}
OPENED_AT = {
    "vit-smaller-images": 24,
    "vit-larger-images": 48,
    "siglip-larger-images": 48,
    "vitamin-larger-images": 48,
    "vitamin-any-size": 64,
    "fastvit-large": 72,
    "relpos-larger-images": 48,
    "eva02-larger-images": 48,
    "pe-core-without-token-smaller-images": 24,
    "mobileclip-vit-larger-images": 48,
}
TRAINED = ("fastvit", "fastvit-large")


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


def make_case(name: str) -> dict:
    embed_dim, quick_gelu, vision, text, encoder = FAMILIES[name]
    config = {"embed_dim": embed_dim, "quick_gelu": quick_gelu, "vision_cfg": vision, "text_cfg": text}
    if name == "coca":
        config |= {"custom_text": True, "multimodal_cfg": {"context_length": 10, "width": 32, "heads": 4, "layers": 1}}
    if "timm_proj" in vision and not vision["timm_proj"] or name.startswith("vitamin"):
        config["custom_text"] = True
    if name.startswith("siglip"):
        config |= {"custom_text": True, "init_logit_bias": -10}
    case = {"config": config, "encoder": encoder}
    with tempfile.TemporaryDirectory() as folder:
        model = build(config, encoder, Path(folder))
    shapes = {key: list(value.shape) for key, value in model.state_dict().items()}
    weights = {key: torch.from_numpy(value) for key, value in draw_all(shapes).items()}
    size = vision["image_size"]
    if name in OPENED_AT:
        size = case["opened_at"] = OPENED_AT[name]
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
        if name in TRAINED:
            case["trained_features"] = model.train().encode_image(images, **options).numpy().astype(np.float32).tolist()
            after = model.eval().encode_image(images, **options).numpy()
            case["features_after_training"] = after.astype(np.float32).tolist()
    return case | {
        "shapes": shapes,
        "tokens": ids.tolist(),
        "image_features": image_features.astype(np.float32).tolist(),
        "text_features": text_features.astype(np.float32).tolist(),
    }


def references(folder: Path) -> dict[str, str]:
    cases = {name: make_case(name) for name in FAMILIES}
    lines = [f"{json.dumps(name)}: {json.dumps(case, separators=(',', ':'))}" for name, case in cases.items()]
    return {"pretrained_parity.json": "{\n" + ",\n".join(lines) + "\n}\n"}
