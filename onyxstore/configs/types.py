"""The six configs of a project: what can be said of a model, its training, its data, its tracking, its speed and its serving.

A default is what suits most, so that a config may say only what differs. What belongs to one choice (`optimizer_params` to the
optimizer) is empty by default, since it would be wrong for another; what names a thing of one project, or asks for something that must
be there first, is left out too. The files that `ConfigManager.create_default_configs` writes spell out an example of everything.
"""

# ruff: noqa: RUF009, FBT003 - `recorded` and `acts` make dataclass fields, whose first argument is the default

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal, TypedDict

from onyxstore.configs.fields import ConfigField, Pattern, Range, above, acts, at_least, between, fields_of, recorded, such_as

TRACKER = "ExperimentTracker"
MAKER = "create_experiment_tracker"
CHECKPOINTS = "CheckpointManager"

FloatType = Literal["float32", "float", "float64", "double", "float16", "half", "bfloat16"]
IntType = Literal["int64", "long", "int32", "int", "int16", "short", "int8", "uint8", "bool"]
DType = Literal[FloatType, IntType]
LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]
BestMode = Literal["min", "max"]
ModelFormat = Literal["torchscript", "onnx", "tensorrt"]
OptimizationLevel = Literal["O0", "O1", "O2", "O3"]

_ENDPOINT = Pattern("^/[!-~]*$", "a path that begins with /")


@dataclass
class ModelConfig:
    """What the model is."""

    name: str = recorded("model", "What the model is called.")
    type: str = recorded("transformer", "The family of models.", such_as("transformer", "mlp", "cnn", "rnn", "diffusion"))
    architecture: str = recorded("bert-base-uncased", "The model within its family.")
    input_size: int = recorded(768, "Features of an input.", at_least(1))
    output_size: int = recorded(10, "Features of an output; classes, when it classifies.", at_least(1))
    hidden_sizes: list[int] = recorded([512, 256], "Width of each hidden layer, from the input on.", at_least(1))
    dropout_rate: float = recorded(0.1, "Share of activations that training drops.", Range(at_least=0, below=1))
    activation: str = recorded("gelu", "The function after each hidden layer.", such_as("gelu", "relu", "silu", "tanh"))
    batch_norm: bool = recorded(True, "Normalize over the batch after each hidden layer.")
    pretrained: bool = recorded(False, "Start from trained weights.")
    pretrained_path: str | None = recorded(None, "Where these weights lie.")
    freeze_backbone: bool = recorded(False, "Train only what comes after the trained weights.")
    custom_parameters: dict[str, Any] = recorded({}, "Whatever else this architecture takes.")


@dataclass
class TrainingConfig:
    """How the model is trained."""

    batch_size: int = recorded(32, "Samples in a batch.", at_least(1))
    learning_rate: float = recorded(2e-5, "The optimizer's learning rate, before any schedule.", above(0))
    epochs: int = recorded(10, "Passes over the training data.", at_least(1))
    validation_split: float = recorded(0.2, "Share of the samples kept for validation.", Range(at_least=0, below=1))
    test_split: float = recorded(0.1, "Share of the samples kept for the test.", Range(at_least=0, below=1))
    random_seed: int | None = recorded(42, "Seed of all random generators; null: none is set.", between(0, 2**32 - 1))

    optimizer: str = recorded("adamw", "The optimizer.", such_as("adamw", "adam", "sgd", "rmsprop"))
    optimizer_params: dict[str, Any] = recorded({}, "What else this optimizer takes.")
    scheduler: str | None = recorded(
        "cosine", "The schedule of the learning rate; null: it stays.", such_as("cosine", "linear", "step", "constant")
    )
    scheduler_params: dict[str, Any] = recorded({}, "What this schedule takes; `warmup_steps` is at most `max_steps`.")

    loss_function: str = recorded("cross_entropy", "The loss.", such_as("cross_entropy", "mse", "l1", "bce_with_logits"))
    loss_params: dict[str, Any] = recorded({}, "What this loss takes.")

    weight_decay: float = recorded(1e-4, "The optimizer's weight decay.", at_least(0))
    gradient_clipping: float | None = recorded(1.0, "Largest norm of all gradients together; null: any.", above(0))

    mixed_precision: bool = recorded(True, "Compute in half precision where that is safe.")
    gradient_accumulation_steps: int = recorded(4, "Batches whose gradients make one step.", at_least(1))
    early_stopping_patience: int | None = recorded(10, "Epochs without improvement after which training stops; null: never.", at_least(0))
    early_stopping_min_delta: float = recorded(1e-4, "What counts as an improvement.", at_least(0))
    save_best_only: bool = acts(CHECKPOINTS, True, "Save only what is better than all before, where the tracker is handed this config.")
    save_frequency: int = recorded(1, "Epochs from one save to the next.", at_least(1))
    log_gradients: bool = recorded(False, "Log the gradients' norms and histograms.")


@dataclass
class DataConfig:
    """Where the data is, and how it is read."""

    train_data_path: str = recorded("./data/train", "Training samples.")
    val_data_path: str | None = recorded("./data/val", "Validation samples; null: a share of the training samples.")
    test_data_path: str | None = recorded("./data/test", "Test samples; null: a share of the training samples.")
    cache_dir: str | None = recorded("./cache", "Where prepared samples are kept; null: nowhere.")

    num_workers: int = recorded(4, "Processes that load samples; 0: the training's own.", at_least(0))
    pin_memory: bool = recorded(True, "Load into pinned memory, from which copies to a GPU are quicker.")
    persistent_workers: bool = recorded(False, "Keep these processes from epoch to epoch; needs `num_workers` above 0.")
    prefetch_factor: int | None = recorded(
        None, "Batches that each process loads ahead; null: 2, as torch has it. Needs `num_workers` above 0.", at_least(1)
    )

    augmentation: bool = recorded(True, "Change training samples at random, as `augmentation_params` say.")
    augmentation_params: dict[str, Any] = recorded({}, "How, by name.")

    validate_data: bool = recorded(True, "Look at the samples before training.")
    max_samples: int | None = recorded(None, "Use only so many samples; null: all.", at_least(1))
    shuffle: bool = recorded(True, "Read training samples in another order each epoch.")

    input_dtype: DType = recorded("float32", "Dtype of the inputs.")
    target_dtype: DType = recorded("long", "Dtype of the targets.")


@dataclass
class ExperimentConfig:
    """What is tracked, where, and which checkpoints are kept."""

    experiment_name: str = acts(TRACKER, "experiment", "What is tried; the run's id is made of it where none is given.")
    experiment_id: str | None = acts(TRACKER, None, "The run's name and group; null: the name and the time.")
    project_name: str = acts(TRACKER, "project", "What it is tried for; what backends call their project.")
    tags: list[str] = acts(TRACKER, [], "Words to find the run by: its labels.")

    track_experiments: bool = acts(MAKER, True, "Feed the backends; the store records everything in any case.")
    tracking_backend: str | list[str] = acts(
        MAKER, "local", "Who is fed besides the store; a name or several.", such_as("local", "tensorboard", "mlflow", "wandb")
    )
    tracking_params: dict[str, Any] = acts(MAKER, {}, "What the backends take; under a backend's name what only that one gets.")

    log_level: LogLevel = acts(TRACKER, "INFO", "The level of the logger `onyxstore` while the tracker is on.")
    log_frequency: int = acts(TRACKER, 100, "Steps from one logged step to the next: what `should_log` answers by.", at_least(1))
    log_metrics: list[str] = recorded(
        ["loss", "accuracy", "f1_score", "precision", "recall"], "The headline metrics; what else is logged is kept as well."
    )
    log_gradients: bool = recorded(False, "Log the gradients' norms and histograms.")
    log_hyperparameters: bool = acts(TRACKER, True, "Tell the backends the training config when the run starts.")

    save_checkpoints: bool = acts(CHECKPOINTS, True, "Save checkpoints; false: a save does nothing, and says so once.")
    checkpoint_dir: str = acts(CHECKPOINTS, "./checkpoints", "Where a small pointer file is written for each kept checkpoint.")
    checkpoint_frequency: int = acts(TRACKER, 1, "Steps from one checkpoint to the next: what `should_checkpoint` answers by.", at_least(1))
    max_checkpoints: int | None = acts(TRACKER, 5, "Checkpoints that are kept besides best and latest; null: all.", at_least(1))
    save_optimizer: bool = acts(CHECKPOINTS, True, "Save the optimizer's state too.")
    save_scheduler: bool = acts(CHECKPOINTS, True, "Save the scheduler's state too.")
    save_best_only: bool = acts(CHECKPOINTS, False, "Save only what is better than all before.")
    best_metric: str | None = acts(TRACKER, None, "The metric that `best` follows; null: what `is_best` says.")
    best_mode: BestMode = acts(TRACKER, "min", "Which values of it are better.")


@dataclass
class OptimizationConfig:
    """How training is made quick and small."""

    enable_mixed_precision: bool = recorded(True, "Compute in half precision where that is safe.")
    enable_gradient_checkpointing: bool = recorded(True, "Compute activations twice instead of keeping them.")
    enable_model_compilation: bool = recorded(True, "Compile the model.")
    enable_cudnn_benchmark: bool = recorded(True, "Let cuDNN try which of its algorithms is quickest.")
    enable_cudnn_deterministic: bool = recorded(False, "Let cuDNN use only algorithms that repeat to the bit.")

    memory_fraction: float = recorded(0.8, "Share of a GPU's memory that may be used.", Range(above=0, at_most=1))
    gradient_accumulation_steps: int = recorded(4, "Batches whose gradients make one step.", at_least(1))
    max_grad_norm: float | None = recorded(1.0, "Largest norm of all gradients together; null: any.", above(0))

    distributed_training: bool = recorded(False, "Train on several processes.")
    num_gpus: int = recorded(1, "GPUs to use; 0: the CPU.", at_least(0))
    backend: str = recorded("nccl", "What these processes talk by.", such_as("nccl", "gloo", "mpi"))

    enable_profiling: bool = recorded(False, "Profile the training.")
    profile_memory: bool = recorded(True, "Profile its memory.")
    profile_performance: bool = recorded(True, "Profile its time.")


@dataclass
class DeploymentConfig:
    """How the trained model is exported and served."""

    model_format: ModelFormat = recorded("torchscript", "What it is exported as.")
    optimization_level: OptimizationLevel = recorded("O1", "How hard the export optimizes.")
    quantization: bool = recorded(False, "Export with small integers for weights.")
    quantization_params: dict[str, Any] = recorded({}, "How: `dtype`, and where the `calibration_data` lie.")

    api_host: str = recorded("0.0.0.0", "The address to listen at; 0.0.0.0: all.")  # noqa: S104 - the guide's, and recorded only
    api_port: int = recorded(8000, "The port to listen at.", between(1, 65535))
    api_workers: int = recorded(4, "Processes that answer.", at_least(1))
    api_timeout: float = recorded(30.0, "Seconds after which an answer is given up.", above(0))

    enable_monitoring: bool = recorded(True, "Offer the two endpoints below.")
    metrics_endpoint: str = recorded("/metrics", "Where figures are asked for.", _ENDPOINT)
    health_check_endpoint: str = recorded("/health", "Where one asks whether it is well.", _ENDPOINT)


Config = ModelConfig | TrainingConfig | DataConfig | ExperimentConfig | OptimizationConfig | DeploymentConfig


class ProjectConfigs(TypedDict):
    """The six configs of a project, by their type's name."""

    model: ModelConfig
    training: TrainingConfig
    data: DataConfig
    experiment: ExperimentConfig
    optimization: OptimizationConfig
    deployment: DeploymentConfig


class ConfigType(StrEnum):
    """The kinds of config, by the word that stands in their files' names."""

    MODEL = "model"
    TRAINING = "training"
    DATA = "data"
    EXPERIMENT = "experiment"
    OPTIMIZATION = "optimization"
    DEPLOYMENT = "deployment"

    @property
    def config_class(self) -> type[Config]:
        """The dataclass of this kind."""
        return _CLASSES[self]

    @property
    def fields(self) -> Mapping[str, ConfigField]:
        """Its fields by name, in their order."""
        return _FIELDS[self]


_CLASSES: dict[ConfigType, type[Config]] = {
    ConfigType.MODEL: ModelConfig,
    ConfigType.TRAINING: TrainingConfig,
    ConfigType.DATA: DataConfig,
    ConfigType.EXPERIMENT: ExperimentConfig,
    ConfigType.OPTIMIZATION: OptimizationConfig,
    ConfigType.DEPLOYMENT: DeploymentConfig,
}
_FIELDS = {each: fields_of(each.config_class) for each in ConfigType}
