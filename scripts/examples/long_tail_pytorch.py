"""Four losses on long-tailed classes in plain PyTorch, without cliptail_jax, in a minute of one core:

    python scripts/examples/long_tail_pytorch.py                     # 30 classes of CIFAR-100, downloaded
    python scripts/examples/long_tail_pytorch.py --folder=photos     # photos/train/CLASS/*.jpg and photos/test/CLASS/*.jpg
    cliptail measure sl.npz batch.npz counts.npz adjusted.npz --frequency=counts.tsv
    cliptail forecast batch:64 counts --logits=sl.npz --frequency=counts.tsv --trained_with=sl

The classes keep 500 to 5 training images. The logits of each loss for the test images go to NAME.npz, and the numbers of training
images to counts.tsv.
"""

import argparse
import math

import numpy as np
import torch
import torch.nn.functional as F
from torchvision import datasets, transforms

SIZE, CLASSES, EPOCHS, BATCH, RATE = 16, 30, 20, 64, 2e-3
LARGEST, SMALLEST = 500, 5  # training images of a class
LOSSES = {
    "sl": lambda z, y, n, k: F.cross_entropy(z, y),
    "batch": lambda z, y, n, k: F.cross_entropy(z + (k > 0).float().log(), y),
    "counts": lambda z, y, n, k: F.cross_entropy(z + k.log(), y),
    "adjusted": lambda z, y, n, k: F.cross_entropy(z + n.log(), y),
}


def load(folder: str, is_training: bool) -> tuple[torch.Tensor, torch.Tensor, list[str]]:
    """Images [image, 3, SIZE, SIZE], their classes, and the names of the classes."""
    view = transforms.Compose([transforms.Resize((SIZE, SIZE)), transforms.ToTensor()])
    if folder:
        images = datasets.ImageFolder(f"{folder}/{'train' if is_training else 'test'}", view)
    else:
        images = datasets.CIFAR100("cifar100", is_training, view, download=True)
    names = images.classes[:CLASSES]
    numbers = [number for number, label in enumerate(images.targets) if label < len(names)]
    return torch.stack([images[number][0] for number in numbers]), torch.tensor(images.targets)[numbers], names


torch.set_num_threads(1)  # of a small network: more threads take more time in all, and are hardly faster
parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--folder", default="", help="images to train and test on, in place of CIFAR-100")
folder = parser.parse_args().folder
x, y, names = load(folder, True)
test_x, test_y, _ = load(folder, False)
largest = torch.tensor(np.geomspace(LARGEST, SMALLEST, len(names)).round())
x, y = (torch.cat([part[y == c][: int(n)] for c, n in enumerate(largest)]) for part in (x, y))
n = torch.bincount(y, minlength=len(names)).float()
np.savetxt("counts.tsv", [*zip(names, n.int().tolist())], fmt="%s", delimiter="\t")

for name, loss_of in LOSSES.items():
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Conv2d(3, 32, 3, padding=1), torch.nn.ReLU(), torch.nn.MaxPool2d(2),
        torch.nn.Conv2d(32, 64, 3, padding=1), torch.nn.ReLU(), torch.nn.MaxPool2d(2),
        torch.nn.Flatten(), torch.nn.Linear(64 * (SIZE // 4) ** 2, len(names)),
    )  # fmt: skip
    optimizer = torch.optim.AdamW(model.parameters(), RATE)
    steps = EPOCHS * math.ceil(len(x) / BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
    for _ in range(EPOCHS):
        x = torch.where(torch.rand(len(x), 1, 1, 1) < 0.5, x.flip(3), x)  # mirrored at random
        for rows in torch.randperm(len(x)).split(BATCH):
            k = torch.bincount(y[rows], minlength=len(names)).float()  # images of each class in the batch
            loss = loss_of(model(x[rows]), y[rows], n, k)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    with torch.no_grad():
        logits = model(test_x)
    np.savez(f"{name}.npz", logits=logits.numpy(), labels=test_y.numpy(), classes=names)
    print(f"{name}: top-1 {100 * (logits.argmax(1) == test_y).float().mean():.1f} %")
