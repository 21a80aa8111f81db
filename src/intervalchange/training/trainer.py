"""transformers.Trainer for our methods: selection on validation, checkpoints that survive `kill -9`, a budget.

What makes an interrupted run end with the weights of an uninterrupted one: the order of cases and the augmentation are
functions of (seed, epoch), the random numbers of a step are functions of (seed, step, process), and a checkpoint counts
only once its marker is written, after everything in it has been flushed to the disk.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate.utils import gather_object
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.data import Sampler
from transformers import Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from intervalchange.blocks.processes import average_over_processes
from intervalchange.config import Precision, TrainConfig
from intervalchange.data.batch import Batch, collate
from intervalchange.errors import RunError
from intervalchange.methods.base.method import Method
from intervalchange.training.run_folder import RunFolder
from intervalchange.training.schedule import rate_at
from intervalchange.training.weights import WeightAverage, load_weights

LOG_EVERY = 10
ENDLESS = 10_000
"""Epochs of a run that only its budget ends."""


def fastest_precision() -> Precision:
    """bf16 where the machine multiplies matrices of it: a GPU that has it, or a CPU with AMX. A CPU that merely knows
    bf16 (AVX-512) is slower in it than in fp32 (docs/log.md)."""
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported() else "fp32"
    known: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()  # Not in every torch that we allow.
    return "bf16" if known.get("amx_bf16") else "fp32"


def training_arguments(config: TrainConfig, folder: RunFolder, steps_per_epoch: int) -> TrainingArguments:
    """Our options in the words of transformers; the only place where the two meet."""
    precision = fastest_precision() if config.precision == "auto" else config.precision
    every = config.eval_every or steps_per_epoch
    return TrainingArguments(
        output_dir=str(folder.checkpoints),
        num_train_epochs=config.epochs or ENDLESS,
        max_steps=config.max_steps or -1,
        per_device_train_batch_size=config.batch_size,
        gradient_accumulation_steps=config.accumulation,
        learning_rate=config.learning_rate,
        weight_decay=config.weight_decay,
        max_grad_norm=config.grad_clip,
        bf16=precision == "bf16",
        use_cpu=not (torch.cuda.is_available() or torch.backends.mps.is_available()),
        fp16=precision == "fp16",
        seed=config.seed,
        dataloader_num_workers=config.workers,
        dataloader_pin_memory=torch.cuda.is_available(),
        dataloader_drop_last=False,
        remove_unused_columns=False,
        ddp_find_unused_parameters=False,
        logging_steps=min(LOG_EVERY, every),
        logging_nan_inf_filter=False,
        save_strategy="steps",
        save_steps=every,
        disable_tqdm=True,
        report_to=[],
    )


class EpochSampler(Sampler[int]):
    """Case numbers in an order that is a function of (seed, epoch); the data set holds the epoch."""

    def __init__(self, dataset: Any, seed: int) -> None:
        self.dataset, self.seed = dataset, seed

    def __len__(self) -> int:
        return int(self.dataset.epoch_length)

    def __iter__(self) -> Iterator[int]:
        return iter(self.dataset.order(self.seed).tolist())


class Flow(TrainerCallback):
    """When to validate, when to stop; the progress bar; the epoch of the data."""

    def __init__(self, trainer: MethodTrainer) -> None:
        self.trainer = trainer
        self.bar = Progress(
            TextColumn("training"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=Console(stderr=True),
            disable=not sys.stderr.isatty(),
        )

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.trainer.start_clock()
        self.trainer.start_average(state.global_step)
        if state.is_world_process_zero:
            self.bar.start()
            self.task = self.bar.add_task("", total=state.max_steps, completed=state.global_step, note="")

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.trainer.training.set_epoch(int(state.epoch or 0))

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.trainer.update_average()
        if self.trainer.budget_used() >= 1 or self.trainer.out_of_patience():
            control.should_training_stop = True
        if control.should_training_stop:
            control.should_save = True
        if control.should_save:
            control.should_log = True
            control.should_evaluate = bool(self.trainer.validation)
        if state.is_world_process_zero:
            self.bar.update(self.task, completed=state.global_step)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        if state.is_world_process_zero and logs and ("loss" in logs or self.trainer.model.selection in logs):
            line = {"step": state.global_step, **logs}
            self.trainer.folder.append_log(line)
            shown = {name: logs[name] for name in ("loss", self.trainer.model.selection) if name in logs}
            if self.bar.live.is_started and shown:
                self.bar.update(self.task, note=" ".join(f"{name} {value:.4f}" for name, value in shown.items()))

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.bar.stop()


class MethodTrainer(Trainer):
    """See the module's docstring."""

    model: Method

    def __init__(
        self,
        model_init: Callable[[], Method],
        config: TrainConfig,
        folder: RunFolder,
        training: Any,
        validation: Mapping[str, Any],
        spent: float = 0.0,
    ) -> None:
        world = max(1, _world_size())
        steps = max(1, math.ceil(training.epoch_length / (config.batch_size * config.accumulation * world)))
        self.config, self.folder = config, folder
        self.training, self.validation = training, validation
        self._spent: float = spent
        self._since: float | None = None
        self._terms: dict[str, torch.Tensor] = {}
        self._terms_seen: dict[str, int] = {}
        self._known: dict[str, torch.Tensor | int] = {}
        self._micro = 0
        self._average: WeightAverage | None = None
        super().__init__(
            model_init=model_init,
            args=training_arguments(config, folder, steps),
            data_collator=collate,
            train_dataset=training,
        )
        # It has set the seed and built the model; left in place, `train` would build it a second time.
        self.model_init = None  # type: ignore[assignment]
        for callback in (PrinterCallback, ProgressCallback):
            self.remove_callback(callback)
        self.add_callback(Flow(self))

    # --- the budget --------------------------------------------------------------------------------------------

    def start_clock(self) -> None:
        self._since = self._clock()

    def _clock(self) -> float:
        return time.monotonic() if self.args.device.type != "cpu" else time.process_time()

    def spent(self) -> float:
        """Seconds of the budget used so far, over every time the run was taken up."""
        return self._spent + (0.0 if self._since is None else self._clock() - self._since)

    def budget_used(self) -> float:
        """Part of the budget that is used; 0 where there is none."""
        return self.spent() / (60 * self.config.minutes) if self.config.minutes else 0.0

    def out_of_patience(self) -> bool:
        """Whether the last `patience` validations brought nothing better."""
        if not self.config.patience or self.state.best_global_step is None:
            return False
        waited = self.state.global_step - self.state.best_global_step
        return waited >= self.config.patience * self.args.save_steps

    # --- the average of the weights ------------------------------------------------------------------------------

    def start_average(self, step: int) -> None:
        """Begin the moving average, or take it up again from the checkpoint of this step."""
        if not self.config.average:
            return
        self._average = WeightAverage(self.accelerator.unwrap_model(self.model), self.config.average)
        if step:
            self._average.resume(self.folder.checkpoints / f"checkpoint-{step}", step)

    def update_average(self) -> None:
        """Move it by one step."""
        if self._average is not None:
            self._average.update(self.accelerator.unwrap_model(self.model))

    # --- steps -------------------------------------------------------------------------------------------------

    def _get_train_sampler(self, *args: Any, **kwargs: Any) -> Sampler[int]:
        return EpochSampler(self.training, self.config.seed)

    def create_optimizer(self, model: torch.nn.Module | None = None) -> torch.optim.Optimizer:
        """AdamW, in which biases and norms are not decayed, or Adam; rates by `Method.rate_factors`."""
        if self.optimizer is None:
            model = self.model if model is None else model
            coupled = self.config.optimizer == "adam"
            decayed = set(self.get_decay_parameter_names(model))
            factors = self.model.rate_factors()
            groups: dict[tuple[float, float], list[torch.nn.Parameter]] = {}
            for name, parameter in model.named_parameters():
                if parameter.requires_grad:
                    plain = name.removeprefix("module.")
                    factor = next((value for prefix, value in factors.items() if plain.startswith(prefix)), 1.0)
                    decay = self.config.weight_decay if coupled or name in decayed else 0.0
                    groups.setdefault((decay, factor * self.config.learning_rate), []).append(parameter)
            kind = torch.optim.Adam if coupled else torch.optim.AdamW
            self.optimizer = kind(
                [{"params": group, "weight_decay": decay, "lr": rate} for (decay, rate), group in groups.items()],
                betas=(0.9, self.config.beta2),
            )
        return self.optimizer

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """Linear warm-up, then the schedule, over the steps or the budget, whichever is further."""
        if self.lr_scheduler is None:
            config = self.config

            def factor(step: int) -> float:
                part = max((step + 0.5) / num_training_steps, self.budget_used())
                decays = sum(step >= start for start in config.decay_steps)
                return rate_at(part, config.warmup, config.schedule) * config.decay**decays

            self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer or self.create_optimizer(), factor)
            self._created_lr_scheduler = True
        return self.lr_scheduler

    def training_step(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        """One batch. Its random numbers depend on (seed, step, batch of the step, process) alone."""
        step = self.state.global_step
        self._micro = self._micro + 1 if self._last_step == step else 0
        self._last_step = step
        key = [self.config.seed, step, self._micro, self.args.process_index]
        torch.manual_seed(int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0] >> np.uint64(1)))
        self.model.progress(step, self.state.max_steps, float(self.state.epoch or 0.0))
        return super().training_step(model, inputs, *args, **kwargs)

    _last_step = -1

    def compute_loss(  # type: ignore[override]
        self, model: Any, inputs: Any, return_outputs: bool = False, **kwargs: Any
    ) -> Any:
        output = model(**inputs)
        if isinstance(inputs, Batch):
            for name, count in inputs.known_counts().items():
                self._known[name] = self._known.get(name, 0) + count
        for name, term in (output["terms"] or {}).items():
            self._terms[name] = self._terms.get(name, 0.0) + term.detach().float()
            self._terms_seen[name] = self._terms_seen.get(name, 0) + 1
        return (output["loss"], output) if return_outputs else output["loss"]

    def compute_loss_context_manager(self) -> Any:
        """Autocast, as in Trainer."""
        here = self.args.bf16 and self.args.device.type == "cpu"
        return bf16_on_a_cpu() if here else super().compute_loss_context_manager()

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """As Trainer's, with each term's mean over the batches that had it, and how many films anything was known of
        since the last line (`known.findings` ...). A loss that is not finite ends the run."""
        if "loss" in logs and self._terms_seen:
            for name, total in sorted(self._terms.items()):
                logs[name] = float(average_over_processes(total / self._terms_seen[name]))
            world = self.args.world_size
            for name, count in sorted(self._known.items()):
                logs[f"known.{name}"] = round(world * float(average_over_processes(torch.as_tensor(count).float())))
            self._terms, self._terms_seen, self._known = {}, {}, {}
            if not math.isfinite(logs["loss"]):
                raise RunError(
                    f"the loss is not finite at step {self.state.global_step}.",
                    where=self.folder.path,
                    remedy="Lower --train.learning_rate, or train with --train.precision fp32.",
                )
        super().log(logs, *args, **kwargs)

    # --- selection ---------------------------------------------------------------------------------------------

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Judge the validation items; remember the step of the best score (of equals, the later one)."""
        by_source = {
            name: self.model.validation_scores(self._validation_outputs(items))
            for name, items in self.validation.items()
        }
        scores = scores_together(by_source, self.model.selection)
        score = scores[self.model.selection]
        if self.state.best_metric is None or score >= self.state.best_metric:
            self.state.best_metric, self.state.best_global_step = score, self.state.global_step
        self.log(dict(scores))
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, scores)
        return scores

    def _validation_outputs(self, validation: Any) -> list[Any]:
        """What the model says of the validation items, shared out over the processes."""
        model = self._average.model if self._average else self.accelerator.unwrap_model(self.model)
        model.eval()
        mine = range(self.args.process_index, len(validation), self.args.world_size)
        outputs: list[Any] = []
        with torch.no_grad():
            for batch in batches(validation, self.config.batch_size, mine):
                outputs += model.validation_outputs(batch)
        model.train()
        gathered: list[Any] = gather_object(outputs)
        return gathered

    # --- checkpoints -------------------------------------------------------------------------------------------

    def _save_checkpoint(self, *args: Any, **kwargs: Any) -> None:
        super()._save_checkpoint(*args, **kwargs)
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            if self._average is not None:
                self._average.save(self.folder.checkpoints / f"checkpoint-{self.state.global_step}")
            self.folder.seal(self.state.global_step, self.spent())
            self.folder.prune(self.state.best_global_step)

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        super()._save(output_dir, state_dict)
        if self.args.should_save:
            # A pickle of TrainingArguments; run.json says the same in words.
            (Path(output_dir or self.folder.checkpoints) / "training_args.bin").unlink(missing_ok=True)

    def _save_rng_state(self, output_dir: str) -> None:
        """Not needed: see `training_step`."""

    def _load_rng_state(self, checkpoint: str | None) -> None:
        """Not needed: see `training_step`."""

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        if model is not None:  # Of FSDP, whose shards are read by accelerate.
            super()._load_from_checkpoint(resume_from_checkpoint, model)
        else:
            load_weights(self.model, Path(resume_from_checkpoint) / "model.safetensors")


def bf16_on_a_cpu() -> ExitStack:
    """Autocast to bf16, attention written out: torch's fused kernel goes back two to five times as slowly there."""
    stack = ExitStack()
    stack.enter_context(torch.autocast("cpu", torch.bfloat16))
    stack.enter_context(sdpa_kernel(SDPBackend.MATH))
    return stack


def batches(dataset: Any, size: int, rows: Sequence[int] | None = None) -> Iterator[Any]:
    """Batches of a data set, in order."""
    rows = range(len(dataset)) if rows is None else rows
    for start in range(0, len(rows), size):
        yield collate([dataset[row] for row in rows[start : start + size]])


def scores_together(by_source: Mapping[str, Mapping[str, float]], selection: str) -> dict[str, float]:
    """Metrics of the validation items of each source -> one line of the log: of several sources, `source: metric`,
    and the mean of what is selected by over those where it is defined."""
    if len(by_source) == 1:
        return dict(next(iter(by_source.values())))
    selected = [scores[selection] for scores in by_source.values() if math.isfinite(scores.get(selection, math.nan))]
    scores = {selection: float(np.mean(selected)) if selected else 0.0}
    return scores | {f"{name}: {metric}": value for name, of in by_source.items() for metric, value in of.items()}


def _world_size() -> int:
    from torch import distributed

    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_world_size()
    import os

    return int(os.environ.get("WORLD_SIZE", "1"))
