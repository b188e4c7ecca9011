import json, os
from pathlib import Path
import numpy as np
from cliptail_jax.errors import UserError
from cliptail_jax.transfer.program import transfer
from configs import transfer as config_file


def test_golden(tmp_path_factory, sup_run, clip_run, published, made_up_dir):
    out = Path(os.environ["GOLDEN"])
    out.mkdir(parents=True, exist_ok=True)

    def clean(text):
        for k, p in (("SUP", sup_run), ("CLIP", clip_run), ("PUB", published)):
            text = text.replace(str(p), k)
        return text

    def dump(name, config):
        workdir = tmp_path_factory.mktemp("g") / "out"
        try:
            transfer(config, workdir)
        except UserError as e:
            (out / f"{name}.error").write_text(clean(str(e)))
        (out / f"{name}.md").write_text(clean((workdir / "report.md").read_text()))
        lines = [json.loads(l) for l in (workdir / "results.jsonl").read_text().splitlines()]
        for l in lines:
            for k in ("seconds", "feature_seconds"):
                l.pop(k, None)
            l["keys"] = list(l)
        (out / f"{name}.jsonl").write_text(clean("\n".join(json.dumps(l) for l in lines)))
        arrays = {}
        for p in sorted((workdir / "predictions").glob("*/*.npz")):
            with np.load(p) as a:
                for k in a.files:
                    arrays[f"{list((workdir / 'predictions').iterdir()).index(p.parent)}-{p.name}-{k}"] = None
                for k in a.files:
                    v = a[k]
                    (out / f"{name}-{p.parent.name[-4:]}-{p.name}-{k}.txt").write_text(clean(str(v.tolist())))

    c = config_file.get_config(
        f"models={sup_run}+{clip_run}+{published},sets=colours:train:test+voc2007+nowhere,methods=probe+few_shot"
    )
    c.data.data_dir, c.batch_size = str(made_up_dir), 32
    c.few_shot.update({"ways": 4, "shots": 3, "queries": 4, "episodes": 20})
    dump("frozen", c)
    c = config_file.get_config(f"models={sup_run},sets=colours:train:test+voc2007,methods=finetune")
    c.data.data_dir, c.batch_size = str(made_up_dir), 32
    c.finetune.update({"steps": 8, "batch_size": 16, "learning_rates": (0.1, 0.003), "weight_decays": (0.0, 1e-3)})
    dump("finetune", c)
