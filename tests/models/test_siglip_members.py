"""SigLIP's image towers against those that timm builds (scripts/parity/siglip_fixtures.py)."""

import json
from pathlib import Path

from cliptail_jax.models.image_towers import image_tower
from cliptail_jax.models.timm_members import SIGLIPS

MEMBERS = json.loads((Path(__file__).parents[1] / "data" / "siglip_members.json").read_text())
ACTIVATIONS = {"gelu": "GELU", "gelu_tanh": "GELUTanh"}


def saved_name(name, side):
    """open_clip's name of the tower `name` for images of another size."""
    vision_cfg = {"timm_model_name": name, "image_size": side}
    return image_tower(vision_cfg).for_open_clip(vision_cfg)["timm_model_name"]


def test_all_members_in_open_clips_configurations_have_timms_sizes():
    assert {name for name in SIGLIPS if name.startswith("vit_")} == MEMBERS.keys()
    for name, sizes in MEMBERS.items():
        member = SIGLIPS[name]
        found = {key: getattr(member, key) for key in ("patch_size", "width", "layers", "heads", "epsilon")}
        found |= {"side": member.image_size, "inner": [member.inner] * 2, "activation": ACTIVATIONS[member.activation]}
        assert found == {key: sizes[key] for key in found}, name
        assert saved_name(name, sizes["side"]) == name
