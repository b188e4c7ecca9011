"""open_clip's named configurations: those that are supported as data of the package, the others as data of its tests.

Run it when a family of models becomes supported. Those of a configuration that can be built are added to
cliptail_jax/models/architectures.json; the others are in unsupported_architectures.json with the error that they end in.
"""

import json
import sys
from pathlib import Path

import open_clip

from cliptail_jax.models import open_clip as our_open_clip

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "models"))
from verdicts import verdict, written  # noqa: E402


def main(folder: Path) -> None:
    ours = Path(our_open_clip.__file__).parent / "architectures.json"
    known = json.loads(ours.read_text())
    configs = {name: open_clip.get_model_config(name) for name in open_clip.list_models()}
    verdicts = {name: verdict(config) for name, config in configs.items()}
    names = [*known, *(name for name in configs if name not in known)]  # in the file's order, new ones at its end
    supported = {name: configs[name] for name in names if name in configs and not verdicts[name]}
    refused = {name: {"config": configs[name], "error": error} for name, error in verdicts.items() if error}
    ours.write_text(written({"source": known["source"], **supported}))
    (folder / "unsupported_architectures.json").write_text(written(refused))
    print(f"{len(supported)} of open_clip {open_clip.__version__}'s {len(configs)} configurations are supported")
