"""The commands of open_clip's README, docs and scripts at commit 89fb801, as facts: flags that matter, and what they become.

Flags that the table notes, or that a command repeats from another one, are left out where they change nothing.
"""

SHARDS = "--train-data /data/cc12m/cc12m-train-{0000..2175}.tar --train-num-samples 10968539 --dataset-type webdataset"
CC12M = f"{SHARDS} --batch-size 320 --precision amp --workers 4 --imagenet-val /data/imagenet/validation/"
CLIPA = "--train-data /path/to/laion-400m --dataset-type webdataset --beta1 0.9 --beta2 0.95 --wd 0.2 --local-loss --gather-with-grad"
CLIPA = (
    f"torchrun --nproc_per_node 8 -m open_clip_train.main {CLIPA} --grad-checkpointing --precision amp_bf16 --workers 6"
)
JITTER = "color_jitter='(0.32, 0.32, 0.32, 0.08)' color_jitter_prob=0.8 gray_scale_prob=0.2"
VIT = {"optimizer.adamw.b2": 0.98, "optimizer.adamw.eps": 1e-6, "model.dtype": "bfloat16"}
UNKNOWN = "--model {} is unknown here"
AUDIO, COCA = "there are no audio towers", "CoCa's decoder of captions is not trained"
NO_TRAINING = "there is no --train-data: published models are evaluated by"

# By place: the command, and the fields that it sets or the error.
PUBLISHED = {
    "README, single process": (
        "--save-frequency 1 --zeroshot-frequency 1 --report-to tensorboard --train-data=/path/to/train_data.csv "
        "--val-data=/path/to/validation_data.csv --csv-img-key filepath --csv-caption-key title "
        "--imagenet-val=/path/to/imagenet/root/val/ --warmup 10000 --batch-size=128 --lr=1e-3 --wd=0.1 --epochs=30 "
        "--workers=8 --model RN50",
        {
            "data.name": "image_text/path-to-train_data",
            "data.captions.words": ("title",),
            "data.workers": 8,
            "eval.sets": ("image_text/path-to-validation_data:val", "image_folder/path-to-imagenet-root-val:val"),
            "eval.every_epochs": 1,
            "batch_size": 128,
            "batch_norm.group_size": 0,
            "total_epochs": 30,
            "total_steps": 0,
            "optimizer.learning_rate": 1e-3,
            "optimizer.weight_decay": 0.1,
            "optimizer.warmup_steps": 10000,
            "optimizer.adamw.b2": 0.999,
            "optimizer.adamw.eps": 1e-8,
            "model.image.name": "modified_resnet",
            "model.dtype": "bfloat16",
        },
    ),
    "README, single node": (
        f"torchrun --nproc_per_node 4 -m open_clip_train.main {CC12M}",
        {
            "data.name": "image_text/data-cc12m-cc12m-train-0000-2175",
            "eval.sets": ("image_folder/data-imagenet-validation:val",),
            "eval.every_epochs": 2,
            "batch_size": 1280,
            "batch_norm.group_size": 320,
            "total_steps": 32 * 8572,  # 8,570 batches, rounded up to a multiple of the workers
            "checkpoint.every_steps": 8572,
            "optimizer.learning_rate": 5e-4,
            "optimizer.schedule": "cosine_steps",
        },
    ),
    "README, two nodes": (
        f"torchrun --nproc_per_node=4 --nnodes 2 --rdzv_endpoint=$HOST -m open_clip_train.main {CC12M}",
        {"batch_size": 2560, "batch_norm.group_size": 320},
    ),
    "README, SLURM": (
        "srun --cpu_bind=v --accel-bind=gn python -u src/open_clip_train/main.py --save-frequency 1 --report-to tensorboard "
        "--train-data=/data/LAION-400M/{00000..41455}.tar --warmup 2000 --batch-size=256 --epochs=32 --workers=8 "
        "--model ViT-B-32 --name ViT-B-32-Vanilla --seed 0 --local-loss --gather-with-grad",
        VIT | {"model.image.name": "ViT-B-32", "model.image.output_dim": 512, "batch_size": 256, "total_steps": 0},
    ),
    "README, resuming": (
        "--train-data=/path/to/train_data.csv --val-data=/path/to/validation_data.csv --resume /path/to/checkpoints/epoch_K.pt",
        "--resume /path/to/checkpoints/epoch_K.pt is a checkpoint of PyTorch: --resume latest continues",
    ),
    "README, CoCa": (
        "--dataset-type csv --train-data path/to/data/dir/train2014.csv --warmup 1000 --batch-size 128 --lr 1e-5 --wd 0.1 "
        "--epochs 1 --workers 3 --model coca_ViT-L-14 --report-to wandb --coca-contrastive-loss-weight 0",
        COCA,
    ),
    "README, RoBERTa": (
        "--train-data=pipe:aws\\ s3\\ cp\\ s3://s-mas/cc3m/{00000..00329}.tar\\ - --train-num-samples 3000000 "
        "--dataset-type webdataset --model roberta-ViT-B-32",
        "data are read from files: copy them here, or mount them",
    ),
    "README, RoBERTa, of copied shards": (
        "--train-data=cc3m/{00000..00329}.tar --train-num-samples 3000000 --val-data=cc3m/{00330..00331}.tar "
        "--val-num-samples 10000 --dataset-type webdataset --batch-size 256 --warmup 2000 --epochs 10 --lr 5e-4 "
        "--precision amp --workers 6 --model roberta-ViT-B-32 --lock-text --lock-text-unlocked-layers 10 "
        "--name 10_unfrozen --report-to tensorboard",
        VIT
        | {
            "eval.sets": ("image_text/cc3m-00330-00331:val",),
            "model.image.name": "roberta-ViT-B-32",
            "model.activation": "quick_gelu",
            "text.init": "hf-hub:FacebookAI/roberta-base",
            "text.freeze": False,
            "text.dropout": 0.1,
            "total_steps": 10 * 11724,
        },
    ),
    "README, evaluation of a checkpoint": (
        "--val-data=/path/to/validation_data.csv --model RN101 --pretrained /path/to/checkpoints/epoch_K.pt",
        NO_TRAINING,
    ),
    "README, evaluation of a published model": (
        "--imagenet-val /path/to/imagenet/validation --model ViT-B-32-quickgelu --pretrained laion400m_e32",
        NO_TRAINING,
    ),
    "README, CLAP on ESC-50": (
        "--model CLAP-HTSAT-tiny-Roberta-base-fused --pretrained laion --audio-zeroshot-dataset ashraq/esc50",
        AUDIO,
    ),
    "README, CLAP on UrbanSound8K": (
        "--model CLAP-HTSAT-tiny-Roberta-base-fused --pretrained laion --audio-zeroshot-target-key classID",
        AUDIO,
    ),
    "README, several sources": (
        "--train-data /data/cc12m/cc12m-train-{0000..2175}.tar::/data/LAION-400M/{00000..41455}.tar --dataset-resampled "
        "--train-data-upsampling-factors=1::1 --train-num-samples 135646078 --model ViT-B-16",
        {"data.split": "train", "model.image.name": "ViT-B-16"},
    ),
    "README, weighted sources": (
        "--train-data a/{0..9}.tar::b/{0..9}.tar --dataset-resampled --train-data-upsampling-factors=0.001::0.01",
        "--train-data-upsampling-factors 0.001::0.01 is not supported: each pair is drawn once",
    ),
    "README, fine-tuning without patch dropout": (
        f"{SHARDS} --model ViT-B-16 --pretrained laion2b_s34b_b88k --force-patch-dropout 0.",
        VIT | {"image.init": "hf-hub:laion/CLIP-ViT-B-16-laion2B-s34B-b88K", "image.freeze": False},
    ),
    "README, distillation": (
        f"{SHARDS} --distill-model ViT-L-14 --distill-pretrained openai",
        "--distill-model is not supported: there is no distillation",
    ),
    "README, accumulation": (
        f"{SHARDS} --model ViT-B-32 --batch-size 64 --accum-freq 4 --grad-checkpointing --local-loss --gather-with-grad",
        VIT | {"batch_size": 256, "accumulate_steps": 4, "model.remat": "blocks", "total_steps": 32 * 42846},
    ),
    "README, int8": (f"{SHARDS} --use-bnb-linear SwitchBackLinearGlobal", "there are no 8-bit layers"),
    "clipa/vit_b16/i50_t16_pretrain": (
        f"{CLIPA} --lr 2.048e-3 --warmup 782 --batch-size 8192 --aug-cfg scale='(0.4, 1.0)' --epochs 6 --model ViT-B-16-CL16 "
        "--force-image-size 112",
        UNKNOWN.format("ViT-B-16-CL16"),
    ),
    "clipa/vit_b16/i50_t16_finetune": (
        f"{CLIPA} --model ViT-B-16-CL16 --pretrained /path/to/ckpt",
        "ViT-B-16-CL16 is unknown",
    ),
    **{
        f"clipa/vit_l16/{stage}": (
            f"{CLIPA} --aug-cfg scale='(0.4, 1.0)' {JITTER} --model {model}",
            f"{model} is unknown",
        )
        for stage, model in (
            ("i17_t16_finetune", "ViT-L-16-CL16-GAP"),
            ("i17_t16_pretrain", "ViT-L-16-CL16-GAP"),
            ("i37_t8_finetune", "ViT-L-16-CL32-GAP"),
            ("i37_t8_pretrain", "ViT-L-16-CL8-Syntax-GAP"),
        )
    },
    "clipav2/vit_h14/i257_t32_finetunex4": (
        f"{CLIPA} --model ViT-H-14-CL32-GAP --force-patch-dropout 0.3",
        "--force-patch-dropout 0.3 is not supported: it is 0.0 here",
    ),
    "clipav2/vit_h14/i50_t8_pretrain": (
        f"{CLIPA} --train-num-samples 4e8 --model ViT-H-14-CL8-Syntax-GAP",
        "--train-num-samples: '4e8' is not a whole number above 0",
    ),
    "clipav2/vit_h14/i577_t32_finetunex1": (
        f"{CLIPA} --model ViT-H-14-CL32-GAP --force-patch-dropout 0.4",
        "--force-patch-dropout 0.4 is not supported",
    ),
    "clipa, with the names of today": (
        f"{CLIPA} --lr 2.24e-5 --warmup 3571 --batch-size 896 --aug-cfg scale='(0.4, 1.0)' --epochs 1 --model ViT-L-14-CLIPA "
        "--pretrained datacomp1b --force-image-size 168 --train-num-samples 131072000",
        {
            "batch_size": 7168,
            "data.crop_scale": (0.4, 1.0),
            "data.image_size": 168,
            "image.init": "hf-hub:UCSC-VLAA/ViT-L-14-CLIPA-datacomp1B",
            "text.init": "hf-hub:UCSC-VLAA/ViT-L-14-CLIPA-datacomp1B",
            "optimizer.adamw.b2": 0.95,
            "model.remat": "blocks",
            "total_steps": 18288,
        },
    ),
    "clipa, from scratch": (
        f"{CLIPA} --model ViT-L-14-CLIPA",
        {"model.text.name": "ViT-L-14-CLIPA", "model.text.context_length": 32, "text.init": "random"},
    ),
    "clipa, colours": (
        f"{CLIPA} --model ViT-L-16 --aug-cfg scale='(0.4, 1.0)' {JITTER}",
        "--aug-cfg color_jitter=.* not supported",
    ),
    "stability_example": (
        "srun --comment laion python -m open_clip_train.main --train-data=pipe:aws\\ s3\\ cp\\ s3://s-datasets/{0..9}.tar\\ - "
        "--train-num-samples 135646078 --dataset-type webdataset --dataset-resampled --model ViT-B-32 --resume latest "
        "--remote-sync s3://s-laion/mitchellw/logs",
        "--remote-sync is not supported: give a bucket as --logs",
    ),
    "stability_example, of copied shards": (
        "--train-data='/data/laion5b/{laion2B-data/{000000..231349}.tar,laion2B-multi-data/{000000..226687}.tar}' "
        "--train-num-samples 135646078 --dataset-type webdataset --dataset-resampled --warmup 2000 --batch-size=375 "
        "--epochs=97 --lr 1e-3 --workers=8 --report-to wandb --name laion5b --logs /scratch/logs/ --model ViT-B-32 --seed 0 "
        "--ddp-static-graph --local-loss --gather-with-grad --grad-checkpointing --precision amp_bfloat16 --resume latest",
        VIT | {"optimizer.learning_rate": 1e-3, "model.remat": "blocks", "total_epochs": 97},
    ),
    "scripts/clipav1_vit_l16_i37_t8": ("--model ViT-L-16-CL32-GAP --imagenet-val /path/to/ImageNet/val", NO_TRAINING),
    "scripts/clipav2_vit_h14_i84_224_336_cl32_gap_datacomp1b": (
        "--model ViT-H-14-CL32-GAP-BigVision --square-resize-only --interpolation bilinear",
        "is a flag of another version of open_clip: leave it out",
    ),
    "scripts/h14_224_32_finetune": (f"{CLIPA} --model ViT-H-14-CL32-GAP", UNKNOWN.format("ViT-H-14-CL32-GAP")),
    "scripts/h14_84_8_pretrain": (
        f"{CLIPA} --model ViT-H-14-CL8-SyntaxMask-GAP",
        "ViT-H-14-CL8-SyntaxMask-GAP is unknown",
    ),
}
