"""The paper's main finding on photographs, CIFAR-100-LT (10,847 images, ratio 100), in 40 minutes on two
cores:

    cliptail study cifar100_lt --workdir=runs/cifar100_lt \\
        --config.data_dir=DIR

DIR contains CIFAR-100, prepared by TFDS in ArrayRecord (this needs TensorFlow: pip install tensorflow-cpu):
`tfds.builder('cifar100', data_dir=DIR, file_format='array_record').download_and_prepare()`.
"""

from cliptail_jax.experiments import arguments, studies


def get_config(arg: str = ""):
    arguments.read_only(arg)
    return studies.main_finding("CIFAR-100-LT (ratio 100)", "cifar100_lt", epochs=30)
