"""Configs as people write them: good ones, and what is to be refused."""

from onyxstore.configs.types import ConfigType

GUIDE = {
    ConfigType.MODEL: """\
name: ad_classification_model
type: transformer
architecture: bert-base-uncased
input_size: 768
output_size: 10
hidden_sizes: [512, 256]
dropout_rate: 0.1
activation: gelu
batch_norm: true
pretrained: true
pretrained_path: ./pretrained/bert-base-uncased
freeze_backbone: false
custom_parameters: {attention_heads: 12, hidden_dropout: 0.1}
""",
    ConfigType.TRAINING: """\
batch_size: 32
learning_rate: 2e-5
epochs: 10
validation_split: 0.2
test_split: 0.1
random_seed: 42
optimizer: adamw
optimizer_params:
  weight_decay: 0.01
  betas: [0.9, 0.999]
scheduler: cosine
scheduler_params:
  warmup_steps: 1000
  max_steps: 10000
loss_function: cross_entropy
loss_params: {label_smoothing: 0.1}
weight_decay: 1e-4
gradient_clipping: 1.0
mixed_precision: true
gradient_accumulation_steps: 4
early_stopping_patience: 10
early_stopping_min_delta: 1e-4
save_best_only: true
save_frequency: 1
""",
    ConfigType.DATA: """\
train_data_path: ./data/train
val_data_path: ./data/val
test_data_path: ./data/test
cache_dir: ./cache
num_workers: 4
pin_memory: true
persistent_workers: true
prefetch_factor: 2
augmentation: true
augmentation_params: {rotation: 10, horizontal_flip: true, color_jitter: 0.1, random_crop: [224, 224]}
validate_data: true
max_samples: null
shuffle: true
input_dtype: float32
target_dtype: long
""",
    ConfigType.EXPERIMENT: """\
experiment_name: ad_classification_v1
experiment_id: exp_001
project_name: ad_classification
tags: [transformer, classification, v1]
track_experiments: true
tracking_backend: wandb
tracking_params: {entity: your_team, project: ad_classification}
log_level: INFO
log_frequency: 100
log_metrics: [loss, accuracy, f1_score, precision, recall]
log_gradients: false
log_hyperparameters: true
save_checkpoints: true
checkpoint_dir: ./checkpoints
checkpoint_frequency: 1
max_checkpoints: 5
save_optimizer: true
save_scheduler: true
""",
    ConfigType.OPTIMIZATION: """\
enable_mixed_precision: true
enable_gradient_checkpointing: true
enable_model_compilation: true
enable_cudnn_benchmark: true
enable_cudnn_deterministic: false
memory_fraction: 0.8
gradient_accumulation_steps: 4
max_grad_norm: 1.0
distributed_training: false
num_gpus: 1
backend: nccl
enable_profiling: false
profile_memory: true
profile_performance: true
""",
    ConfigType.DEPLOYMENT: """\
model_format: torchscript
optimization_level: O1
quantization: false
quantization_params: {dtype: int8, calibration_data: ./calibration_data}
api_host: 0.0.0.0
api_port: 8000
api_workers: 4
api_timeout: 30
enable_monitoring: true
metrics_endpoint: /metrics
health_check_endpoint: /health
""",
}
"""Keys and values of the six configs that the tracker's users begin with."""

TAKEN = [
    ("training", "{}"),
    ("training", "learning_rate: 1"),
    ("training", "random_seed: null"),
    ("training", "random_seed: 4294967295"),
    ("training", "scheduler: null"),
    ("training", "gradient_clipping: null"),
    ("training", "optimizer: lion"),
    ("training", "validation_split: 0"),
    ("training", "optimizer_params: {betas: [0.9, 0.999], nested: {deep: [null, {er: 1}]}}"),
    ("training", "batch_size: '${BATCH}'"),
    ("training", "mixed_precision: '${HALF:-true}'"),
    ("model", "hidden_sizes: []"),
    ("model", "dropout_rate: 0"),
    ("data", "num_workers: 0"),
    ("data", "input_dtype: bfloat16"),
    ("data", "max_samples: 1"),
    ("experiment", "tracking_backend: mine"),
    ("experiment", "tracking_backend: [local, wandb]"),
    ("experiment", "tracking_backend: []"),
    ("experiment", "best_mode: max"),
    ("experiment", "max_checkpoints: null"),
    ("optimization", "memory_fraction: 1"),
    ("optimization", "num_gpus: 0"),
    ("deployment", "api_port: 65535"),
    ("deployment", "metrics_endpoint: /a/b?c=d"),
]

REFUSED = [
    ("training", "learnin_rate: 1e-3", "learnin_rate: no such key; did you mean learning_rate?"),
    ("training", "hidden_sizes: [1]", "hidden_sizes: no such key; it belongs to the model config"),
    ("training", "whatever: 1", "whatever: no such key"),
    ("training", "5: 1", "5: no such key"),
    ("training", "batch_size: 32.7", "batch_size: expected a whole number of at least 1, got 32.7"),
    ("training", "batch_size: true", "batch_size: expected a whole number of at least 1, got true"),
    ("training", "batch_size: '32'", 'batch_size: expected a whole number of at least 1, got "32"'),
    ("training", "batch_size: 0", "batch_size: expected a whole number of at least 1, got 0"),
    ("training", "batch_size: null", "batch_size: expected a whole number of at least 1, got null"),
    ("training", "batch_size: [32]", "batch_size: expected a whole number of at least 1, got a list"),
    ("training", "learning_rate: 0", "learning_rate: expected a number above 0, got 0"),
    ("training", "learning_rate: -1e-3", "learning_rate: expected a number above 0, got -0.001"),
    ("training", "learning_rate: true", "learning_rate: expected a number above 0, got true"),
    ("training", "learning_rate: '1e-3'", 'learning_rate: expected a number above 0, got "1e-3"'),
    ("training", "validation_split: 1", "validation_split: expected a number of at least 0 and below 1, got 1"),
    ("training", "random_seed: 4294967296", "random_seed: expected a whole number from 0 to 4294967295, or null, got 4294967296"),
    ("training", "random_seed: -1", "random_seed: expected a whole number from 0 to 4294967295, or null, got -1"),
    ("training", "optimizer: null", "optimizer: expected text (for example adamw, adam, sgd, rmsprop), got null"),
    ("training", "optimizer: ''", "optimizer: expected text (for example adamw, adam, sgd, rmsprop), got an empty text"),
    ("training", "optimizer: 5", "optimizer: expected text (for example adamw, adam, sgd, rmsprop), got 5"),
    ("training", "scheduler: 1", "scheduler: expected text (for example cosine, linear, step, constant), or null, got 1"),
    ("training", "optimizer_params: null", "optimizer_params: expected a mapping of names to values, got null"),
    ("training", "optimizer_params: [1]", "optimizer_params: expected a mapping of names to values, got a list"),
    ("training", "optimizer_params: {1: 2}", "optimizer_params.1: expected text for a key, got 1"),
    ("training", "mixed_precision: 1", "mixed_precision: expected true or false, got 1"),
    ("training", "mixed_precision: 'yes'", 'mixed_precision: expected true or false, got "yes"'),
    ("model", "hidden_sizes: [512, 0]", "hidden_sizes.1: expected a whole number of at least 1, got 0"),
    ("model", "hidden_sizes: [1.5]", "hidden_sizes.0: expected a whole number of at least 1, got 1.5"),
    ("model", "hidden_sizes: 512", "hidden_sizes: expected a list of whole numbers of at least 1, got 512"),
    ("model", "dropout_rate: 1", "dropout_rate: expected a number of at least 0 and below 1, got 1"),
    ("data", "input_dtype: float8", None),
    ("data", "max_samples: 0", "max_samples: expected a whole number of at least 1, or null, got 0"),
    ("experiment", "best_mode: least", 'best_mode: expected min or max, got "least"'),
    ("experiment", "best_mode: null", "best_mode: expected min or max, got null"),
    ("experiment", "tags: v1", 'tags: expected a list of texts, got "v1"'),
    ("experiment", "tags: [v1, 2]", "tags.1: expected text, got 2"),
    ("experiment", "tracking_backend: 5", None),
    ("experiment", "tracking_backend: [local, 5]", None),
    ("optimization", "memory_fraction: 1.01", "memory_fraction: expected a number above 0 and of at most 1, got 1.01"),
    ("optimization", "memory_fraction: 0", "memory_fraction: expected a number above 0 and of at most 1, got 0"),
    ("deployment", "api_port: 0", "api_port: expected a whole number from 1 to 65535, got 0"),
    ("deployment", "model_format: pickle", 'model_format: expected torchscript, onnx or tensorrt, got "pickle"'),
    ("deployment", "metrics_endpoint: metrics", 'metrics_endpoint: expected a path that begins with /, got "metrics"'),
]
"""What single fields refuse, each with the words of the check (None where they are long)."""

CLASHING = [
    (
        "training",
        "validation_split: 0.5\ntest_split: 0.5",
        "validation_split: validation_split and test_split make 1; below 1, something is left to train on",
    ),
    ("training", "test_split: 0.9", "test_split: validation_split and test_split make 1.1; below 1, something is left to train on"),
    (
        "training",
        "scheduler_params: {warmup_steps: 11, max_steps: 10}",
        "scheduler_params.warmup_steps: expected at most max_steps, which is 10, got 11",
    ),
    ("data", "num_workers: 0\nprefetch_factor: 2", "prefetch_factor: needs num_workers above 0; without workers it is null"),
    ("data", "num_workers: 0\npersistent_workers: true", "persistent_workers: needs num_workers above 0; without workers it is false"),
    ("experiment", "tracking_backend: [local, wandb, local]", 'tracking_backend.2: "local" is named twice'),
]
"""What fields refuse of one another: beyond a JSON Schema."""
