"""open_clip's named configurations as data of the package: cliptail_jax/models/architectures.json.

Run it for a new version of open_clip. Configurations whose towers are not supported are left out if open_clip publishes
no weights for them, such as Swin, vit_relpos, vit_medium_patch16_gap and mT5 in open_clip 3.3. For others, ValueError is
raised.
"""

import json
from pathlib import Path

import open_clip
from parity.supported import unsupported

from cliptail_jax.models import open_clip as our_open_clip


def references(folder: Path) -> dict[str, str]:
    ours = Path(our_open_clip.__file__).parent / "architectures.json"
    architectures = json.loads(ours.read_text(encoding="utf-8"))
    have_weights, configs = {name for name, _ in open_clip.list_pretrained()}, {}
    for name in open_clip.list_models():
        config = open_clip.get_model_config(name)
        if not (error := unsupported(config)):
            configs[name] = config
        elif name in have_weights:
            raise ValueError(f"{name}: {error}")
    names = [
        *(name for name in architectures if name in configs),
        *(name for name in configs if name not in architectures),
    ]
    entries = {"source": architectures["source"]} | {name: configs[name] for name in names}
    lines = [f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in entries.items()]
    return {str(ours): "{\n" + ",\n".join(lines) + "\n}\n"}
