"""References for tests/models/test_timm_towers.py: the sizes of timm's SigLIP ViTs, read off the modules that it builds.

siglip_members.json has for each timm name in open_clip's configurations: side, patch_size, width, layers, heads, the inner
width of the MLPs of a block and of the pooling head, the class of their activations, and the layer norms' epsilon.
"""

import json
from pathlib import Path

import open_clip
import timm
import torch


def member(name: str) -> dict:
    with torch.device("meta"):
        model = timm.create_model(name, num_classes=0, global_pool="map")
    pool, modules = model.attn_pool, list(model.modules())
    assert (pool.pool, pool.latent_len, pool.num_heads) == ("token", 1, model.blocks[0].attn.num_heads)
    (epsilon,) = {module.eps for module in modules if isinstance(module, torch.nn.LayerNorm)}
    (activation,) = {type(module.act).__name__ for module in modules if hasattr(module, "act")}
    return {
        "side": model.patch_embed.img_size[0],
        "patch_size": model.patch_embed.patch_size[0],
        "width": model.embed_dim,
        "layers": len(model.blocks),
        "heads": pool.num_heads,
        "inner": [model.blocks[0].mlp.fc1.out_features, pool.mlp.fc1.out_features],
        "activation": activation,
        "epsilon": epsilon,
    }


def references(folder: Path) -> dict[str, str]:
    configs = map(open_clip.get_model_config, open_clip.list_models())
    names = {config["vision_cfg"].get("timm_model_name") or "" for config in configs}
    members = {name: member(name) for name in sorted(names) if "_siglip_" in name}
    lines = [f"{json.dumps(name)}: {json.dumps(sizes)}" for name, sizes in members.items()]
    return {"siglip_members.json": "{\n" + ",\n".join(lines) + "\n}\n"}
