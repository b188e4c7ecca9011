"""Every parameter's initial distribution against the published one, by its path."""

import re
from dataclasses import replace

import jax.numpy as jnp
import numpy as np
from flax import nnx

from cliptail_jax.models import fastvit, vitamin
from cliptail_jax.models.basic_resnet import BasicResNet
from cliptail_jax.models.build import initial_head
from cliptail_jax.models.classifier import Classifier
from cliptail_jax.models.clip import CLIP
from cliptail_jax.models.convnext import ConvNeXt
from cliptail_jax.models.dino import DinoHead
from cliptail_jax.models.fastvit import FastViT
from cliptail_jax.models.m2m100 import M2M100, M2M100Shape
from cliptail_jax.models.modified_resnet import ModifiedResNet
from cliptail_jax.models.text import TextTransformer
from cliptail_jax.models.timm_vit import TimmViT
from cliptail_jax.models.vit import VisionTransformer
from cliptail_jax.models.vitamin import ViTamin
from tests.models.published_names import flat
from tests.tiny_members import TIMM_VITS

WIDTH, LAYERS = 48, 2  # of the transformers
EMBED = 32 * 8  # channels in front of the attention pool of a modified ResNet of width 8
RESIDUAL = WIDTH**-0.5 * (2 * LAYERS) ** -0.5

NORMAL = {
    r"resnet/attnpool/[qkvc]_proj/kernel": EMBED**-0.5,
    r"resnet(_pytorch)?/attnpool/positional_embedding": EMBED**-0.5,
    r"vit/(class_embedding|positional_embedding|proj)": WIDTH**-0.5,
    r"text/token_embedding/embedding": 0.02,
    r"text/positional_embedding": 0.01,
    r"text/text_projection": WIDTH**-0.5,
    r"text/transformer/resblocks/\d/attn/in_proj/kernel": WIDTH**-0.5,
    r"text/transformer/resblocks/\d/attn/out_proj/kernel": RESIDUAL,
    r"text/transformer/resblocks/\d/mlp/c_fc/kernel": (2 * WIDTH) ** -0.5,
    r"text/transformer/resblocks/\d/mlp/c_proj/kernel": RESIDUAL,
    r"(eva|conv_stem|siglip)/trunk/pos_embed": 0.02,
    r"siglip/trunk/attn_pool/latent": 32**-0.5,
    r"eva/trunk/cls_token": 0.02,
    r"conv_stem/trunk/cls_token": 1e-6,
    r"eva/trunk/blocks/0/(attn/proj|mlp/fc2)/kernel": 0.02 / 2**0.5,
    r"eva/trunk/blocks/1/(attn/proj|mlp/fc2)/kernel": 0.02 / 4**0.5,
    r"(eva|conv_stem|siglip)/trunk/(blocks|attn_pool|head)/.*kernel": 0.02,
    r"nllb/.*(embedding|kernel)": 0.02,
    r"dino/mlp/\d/kernel": 0.02,
    r"dino/prototypes": 400**-0.5,
    r"cosine/head": 16**-0.5,
}
CONSTANT = {
    r"vitamin/.*/(conv\w*|expand|qkv|attn/proj|w\d|fc_norm|norm\d?|pre_norm)/bias": 0,
    r"fastvit/.*/(fc|mlp/fc\d|token_mixer/proj|norm|identity|bn)/bias": 0,
    r"(vitamin|fastvit)/.*/(fc_norm|norm\d?|pre_norm|identity|bn)/scale": 1,
    r"convnext/.*/gamma": np.float32(1e-6),
    r"convnext/trunk/.*bias": 0,
    r"convnext/.*/scale": 1,
    r"fastvit/.*/gamma": np.float32(1e-5),
    r".*attn/(in|out)_proj/bias": 0,
    r"resnet/layer\d/\d/bn3/scale": 0,  # last norm of each bottleneck
    r".*/(bn\d|ln_\w+|downsample/1)/scale": 1,
    r".*/(bn\d|ln_\w+|downsample/1)/bias": 0,
    r"(eva|conv_stem|siglip)/trunk/(.*/)?(bn|norm\w*)/scale": 1,
    r"(eva|conv_stem|siglip)/trunk/(.*/)?(bn|norm\w*)/bias": 0,
    r"(eva|conv_stem|siglip)/trunk/(blocks|attn_pool|head)/.*bias": 0,
    r".*/var": 1,
    r".*/mean": 0,
    r"nllb/.*/scale": 1,
    r"(nllb|dino)/.*/bias": 0,
    r"(clip|cosine)/logit_scale": np.float32(np.log(1 / 0.07)),
}
NORMAL |= {  # timm's towers
    r"vitamin/trunk/(pos_embed|blocks/\d/(attn/(qkv|proj)|mlp/w\d)/kernel)": 0.02,
    r"fastvit/trunk/(head/fc|stages/3/blocks/\d/token_mixer/(qkv|proj))/kernel": 0.02,
    r"fastvit/trunk/stages/\d/blocks/\d/mlp/(conv/conv|fc1|fc2)/kernel": 0.02,
    r"convnext/trunk/.*kernel": 0.02,
    # convolutions, by the square root of 2 / (kernel's pixels × outputs of a group)
    r"vitamin/trunk/patch_embed/backbone/stem/conv\d/kernel": (2 / (9 * 8)) ** 0.5,
    r"vitamin/trunk/patch_embed/backbone/stages/\d/\d/conv2_kxk/kernel": (2 / 9) ** 0.5,
    r"vitamin/trunk/patch_embed/backbone/stages/0/\d/conv1_1x1/kernel": (2 / 32) ** 0.5,
    r"vitamin/trunk/patch_embed/backbone/stages/0/\d/conv3_1x1/kernel": (2 / 8) ** 0.5,
    r"vitamin/trunk/patch_embed/backbone/stages/1/\d/conv1_1x1/kernel": (2 / 48) ** 0.5,
    r"vitamin/trunk/patch_embed/backbone/stages/1/\d/(conv3_1x1|shortcut/expand)/kernel": (2 / 12) ** 0.5,
}
UNIFORM = {  # half the width of the interval
    r"vit/transformer/resblocks/\d/attn/in_proj/kernel": (6 / (WIDTH + 3 * WIDTH)) ** 0.5,  # Xavier
    r"resnet(_pytorch)?/attnpool/[qkvc]_proj/bias": EMBED**-0.5,
    r"(vit|text)/transformer/resblocks/\d/mlp/c_fc/bias": WIDTH**-0.5,
    r"(vit|text)/transformer/resblocks/\d/mlp/c_proj/bias": (4 * WIDTH) ** -0.5,
    r"basic/fc/bias": 32**-0.5,
    r"(eva|siglip)/trunk/patch_embed/proj/bias": (3 * 8 * 8) ** -0.5,
    r"conv_stem/trunk/patch_embed/backbone/2/conv/bias": (8 * 2 * 2) ** -0.5,
    r"vitamin/trunk/patch_embed/backbone/pool/proj/bias": (9 * 12) ** -0.5,
    r"fastvit/trunk/stages/3/pos_emb/pos_enc/bias": 1 / 7,
    r"fastvit/trunk/(final_conv|stages/2/downsample/proj/0)/se/fc2/bias": 8**-0.5,
    r"fastvit/trunk/final_conv/se/fc1/bias": 128**-0.5,
    r"fastvit/trunk/stages/2/downsample/proj/0/se/fc1/bias": 32**-0.5,
    r"fastvit/trunk/stages/3/downsample/proj/0/se/fc1/bias": 64**-0.5,
    r"fastvit/trunk/stages/3/downsample/proj/0/se/fc2/bias": 16**-0.5,
    r"linear/(head|bias)": 16**-0.5,
    r"convnext/head/mlp/fc1/bias": 48**-0.5,
    r"convnext/head/mlp/fc2/bias": 32**-0.5,
}  # other kernels by their own fan-in


def parameters() -> dict[str, np.ndarray]:
    """Of all models, by their paths; drawn one by one, as to compile them together takes several times as long."""
    rngs = nnx.Rngs(0)
    models = {
        "resnet": ModifiedResNet((1, 1, 1, 1), 8, 4, 16, 32, rngs=rngs),
        "resnet_pytorch": ModifiedResNet((1, 1, 1, 1), 8, 4, 16, 32, pytorch_init=True, rngs=rngs),
        "basic": BasicResNet((1, 1, 1), 8, 16, rngs=rngs),
        "vit": VisionTransformer(8, WIDTH, LAYERS, 4, 16, 32, rngs=rngs),
        "convnext": ConvNeXt((1, 1), (8, 48), 16, projection="mlp", projection_bias=True, rngs=rngs),
        "vitamin": ViTamin(vitamin.ViTaminSize((8, 12, 32), 2, 4, 32), 16, 32, rngs=rngs),
        "fastvit": FastViT(fastvit.FastViTSize((1, 0, 0, 1), 8, is_large=False), 16, rngs=rngs),
        "text": TextTransformer(12, 300, WIDTH, LAYERS, 4, 16, rngs=rngs),
        "eva": TimmViT(TIMM_VITS["eva02_parity"][1], 16, 32, rngs=rngs),
        "siglip": TimmViT(TIMM_VITS["siglip_parity_32"][1], 32, 32, rngs=rngs),
        "conv_stem": TimmViT(replace(TIMM_VITS["mobileclip_vit_parity"][1], layers=1), 16, 32, rngs=rngs),
        "nllb": M2M100(M2M100Shape(300, WIDTH, 1, 4, 64, 12), dtype=jnp.float32, rngs=rngs),
        "dino": DinoHead(100, hidden=128, bottleneck=64, prototypes=400, rngs=rngs),
        "clip": CLIP(nnx.Module(), nnx.Module()),
        "cosine": Classifier(nnx.Module(), *initial_head({"kind": "cosine", "classes": 100}, 16, None, rngs)),
        "linear": Classifier(nnx.Module(), *initial_head({"kind": "linear", "classes": 100}, 16, None, rngs)),
    }
    return {
        "/".join(map(str, (name, *path))): np.asarray(value)
        for name, model in models.items()
        for path, value in flat(nnx.state(model)).items()
    }


def rule(rules: dict, path: str) -> float | None:
    """The value of the first rule whose pattern is the whole path."""
    return next((value for pattern, value in rules.items() if re.fullmatch(pattern, path)), None)


def test_every_parameter_follows_its_published_distribution():
    for path, value in parameters().items():
        n, level, std, bound = value.size, *(rule(rules, path) for rules in (CONSTANT, NORMAL, UNIFORM))
        if level is not None:
            np.testing.assert_array_equal(value, level, err_msg=path)
            continue
        if std is not None:
            assert n < 1000 or np.abs(value).max() > 2.5 * std, f"{path} is truncated or uniform"
        else:
            assert bound or path.endswith("/kernel"), path
            bound = bound or np.prod(value.shape[:-1]) ** -0.5
            std = bound / 3**0.5
            assert np.abs(value).max() <= bound, path
            assert np.abs(value).max() > bound * (1 - 10 / n), path
        assert abs(value.std() / std - 1) < 5 / (2 * n) ** 0.5, path
        assert abs(value.mean()) < 5 * std / n**0.5, path
