"""open_clip's named configurations as data of the package: cliptail_jax/models/architectures.json.

Run it for a new version of open_clip. Raises ValueError for a configuration that is not supported.
"""

import json
from pathlib import Path

import open_clip
from parity.supported import unsupported

from cliptail_jax.models import open_clip as our_open_clip


def references(folder: Path) -> dict[str, str]:
    ours = Path(our_open_clip.__file__).parent / "architectures.json"
    known = json.loads(ours.read_text(encoding="utf-8"))
    configs = {name: open_clip.get_model_config(name) for name in open_clip.list_models()}
    for name, config in configs.items():
        if error := unsupported(config):
            raise ValueError(f"{name}: {error}")
    names = [*(name for name in known if name in configs), *(name for name in configs if name not in known)]
    entries = {"source": known["source"]} | {name: configs[name] for name in names}
    lines = [f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in entries.items()]
    return {str(ours): "{\n" + ",\n".join(lines) + "\n}\n"}
