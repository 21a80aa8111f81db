"""Training: the run folder, selection, refusals, and what `kill -9` must not change."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import toy
from safetensors.torch import load_file

from intervalchange.config import TrainConfig, load_preset, preset_sizes
from intervalchange.data.dataset import PairDataset
from intervalchange.data.prepared import Prepared
from intervalchange.errors import ConfigError, RunError
from intervalchange.methods import method_class, stages
from intervalchange.methods.base.method import Method, MethodOutput, answer_scores
from intervalchange.records import Prediction
from intervalchange.training import Stage, list_stages, print_stages, train
from intervalchange.training.listing import count_parameters
from intervalchange.training.run_folder import MARKER, RunFolder, read_json, write_json
from intervalchange.training.schedule import rate_at
from intervalchange.training.sources import refuse_evaluation_data
from intervalchange.training.stage import start_from
from intervalchange.training.trainer import EpochSampler, MethodTrainer, fastest_precision
from intervalchange.training.weights import AVERAGE

STAGE = "real/answer"
BRIEF = {"train.epochs": 2, "train.eval_every": 2, "train.batch_size": 16, "model.dropout": 0.1}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy.cohort(tmp_path_factory.mktemp("cohort"))


@pytest.fixture(scope="module")
def run(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(STAGE, prepared, tmp_path_factory.mktemp("runs") / "plain", "tiny", overrides=BRIEF)


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "model.safetensors")


def same(one: Path, other: Path) -> bool:
    first, second = weights(one), weights(other)
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


# --- the run folder --------------------------------------------------------------------------------------------


def test_a_run_folder_says_what_it_is(run: Path, prepared: Path) -> None:
    facts = read_json(run / "run.json")
    assert facts["finished"]
    assert facts["stage"] == STAGE
    assert facts["training_cases"] == 48
    assert len(facts["training_patients"]) == 48
    answers = facts["training_answers"]["what has changed compared to the reference image?"]
    assert sum(answers.values()) == 48
    assert facts["fingerprint"]["train"]["seed"] == 0
    assert facts["fingerprint"]["model"]["queries"] == 4
    assert len(facts["fingerprint"]["data_manifest"]) == 64
    assert facts["hardware"]["torch"] == torch.__version__
    assert facts["selected"]["metric"] == Method.selection
    assert (run / "tokenizer.json").is_file()
    test_patients = {case.patient_id for case in Prepared(prepared).case_records("test")}
    assert not test_patients & set(facts["training_patients"])


def test_the_log_has_losses_terms_and_scores(run: Path) -> None:
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    losses = [line for line in lines if "loss" in line]
    scores = [line for line in lines if Method.selection in line]
    assert [line["step"] for line in losses] == [2, 4, 6]
    assert [line["step"] for line in scores] == [2, 4, 6]
    assert {"generation", "alignment", "residual_cosine", "learning_rate"} <= losses[0].keys()


def test_nothing_that_leaves_a_run_is_a_pickle(run: Path) -> None:
    assert not [path.name for path in run.iterdir() if path.suffix in (".pt", ".bin", ".pth", ".pkl")]
    assert not list(run.rglob("training_args.bin"))


def test_the_chosen_weights_are_those_of_the_best_checkpoint(run: Path) -> None:
    step = read_json(run / "run.json")["selected"]["step"]
    chosen = load_file(run / "checkpoints" / f"checkpoint-{step}" / "model.safetensors")
    assert all(torch.equal(tensor, chosen[name]) for name, tensor in weights(run).items())


def test_the_same_command_again_finishes_at_once(run: Path, prepared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (run / "model.safetensors").stat().st_mtime_ns
    assert train(STAGE, prepared, run, "tiny", overrides=BRIEF) == run
    assert "finished already" in capsys.readouterr().err
    assert (run / "model.safetensors").stat().st_mtime_ns == before


def test_a_run_of_a_version_without_an_option_is_the_run_with_its_default(
    run: Path, prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    older = shutil.copytree(run, tmp_path / "older")
    facts = read_json(older / "run.json")
    del facts["fingerprint"]["train"]["share"], facts["fingerprint"]["model"]["beams"]
    write_json(older / "run.json", facts)
    train(STAGE, prepared, older, "tiny", overrides=BRIEF)
    assert "finished already" in capsys.readouterr().err
    with pytest.raises(RunError, match=r"train\.share was 1\.0, now 0\.5"):
        train(STAGE, prepared, older, "tiny", overrides={**BRIEF, "train.share": 0.5})


def test_another_command_is_refused(run: Path, prepared: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"train\.seed was 0, now 1"):
        train(STAGE, prepared, run, "tiny", overrides={**BRIEF, "train.seed": 1})
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(RunError, match="not empty"):
        train(STAGE, prepared, tmp_path, "tiny", overrides=BRIEF)


def test_same_seed_same_weights_other_seed_others(run: Path, prepared: Path, tmp_path: Path) -> None:
    again = train(STAGE, prepared, tmp_path / "again", "tiny", overrides=BRIEF)
    assert same(run, again)
    other = train(STAGE, prepared, tmp_path / "other", "tiny", overrides={**BRIEF, "train.seed": 1})
    assert not same(run, other)


def test_two_workers_train_the_same_weights(run: Path, prepared: Path, tmp_path: Path) -> None:
    assert same(run, train(STAGE, prepared, tmp_path / "run", "tiny", overrides={**BRIEF, "train.workers": 2}))


def test_deleting_or_changing_test_rows_changes_nothing(run: Path, tmp_path: Path) -> None:
    fewer = toy.cohort(tmp_path / "cohort", test=0)
    assert same(run, train(STAGE, fewer, tmp_path / "run", "tiny", overrides=BRIEF))


def test_training_without_validation_keeps_the_last_weights(tmp_path: Path) -> None:
    prepared = toy.cohort(tmp_path / "cohort", train=16, val=0, test=0)
    run = train(STAGE, prepared, tmp_path / "run", "tiny", overrides={**BRIEF, "train.epochs": 3})
    assert read_json(run / "run.json")["selected"] == {"step": 3, "metric": Method.selection, "value": None}


def test_a_budget_ends_training(prepared: Path, tmp_path: Path) -> None:
    budget = {**BRIEF, "train.epochs": 0, "train.minutes": 0.02, "train.eval_every": 1000}
    run = train(STAGE, prepared, tmp_path / "run", "tiny", overrides=budget)
    facts = read_json(run / "run.json")
    assert facts["steps"] >= 1
    assert facts["seconds"] >= 1.2


def test_starting_from_a_run(run: Path, prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    brief = {**BRIEF, "train.max_steps": 1}
    train(STAGE, prepared, tmp_path / "run", "tiny", sources=[run], overrides=brief)
    says = capsys.readouterr().err
    assert f"{run}: " in says
    assert " 0 missing, 0 unexpected" in says
    with pytest.raises(RunError, match="no weights"):
        start_from(torch.nn.Linear(1, 1), tmp_path)


def test_data_for_evaluation_is_refused(prepared: Path) -> None:
    data = Prepared(prepared)
    for seed, refused in ((899_999, False), (900_000, True), (None, False)):
        data.manifest["simulated"] = {} if seed is None else {"seed": seed}
        if refused:
            with pytest.raises(ConfigError, match="evaluation only"):
                refuse_evaluation_data(data)
        else:
            refuse_evaluation_data(data)


def test_too_few_pixels_name_the_command(prepared: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="intervalchange prepare"):
        train(STAGE, prepared, tmp_path / "run", "tiny", overrides={"model.pixels": 128})
    assert not (tmp_path / "run").exists()


@pytest.fixture(scope="module")
def listed() -> list[Stage]:
    return list_stages()


def test_list_stages(listed: list[Stage]) -> None:
    stage = next(stage for stage in listed if stage.name == STAGE)
    assert stage.sizes == ("tiny", "small", "paper")
    assert stage.parameters["tiny"] < 1_000_000
    assert stage.supervision == ("answers",)
    assert "ReAl" in stage.headers["paper"]["paper"]


def test_stages_are_listed_in_running_order(listed: list[Stage]) -> None:
    names = [stage.name for stage in listed]
    methods = list(dict.fromkeys(name.split("/")[0] for name in names))
    assert methods == [*sorted(set(methods) - {"tasks"}), "tasks"], "methods in alphabetical order, tasks last"
    assert names[: names.index("c2f/answer") + 1] == ["c2f/anatomy", "c2f/diseases", "c2f/align", "c2f/answer"]
    for name in names:
        for earlier in method_class(name).follows:
            same_method = earlier.split("/")[0] == name.split("/")[0]
            assert not same_method or names.index(earlier) < names.index(name), f"{name} follows {earlier}"


@pytest.mark.slow
def test_the_parameters_that_a_preset_says_are_counted(listed: list[Stage]) -> None:
    for stage in listed:
        for size, header in stage.headers.items():
            counted = f"{count_parameters(stage.name, size):,}"
            assert header.get("parameters", counted) == counted, (
                f"write `# parameters: {counted}` into {stage.name}.{size}.yaml"
            )


def test_a_stage_follows_what_its_presets_start_from(listed: list[Stage]) -> None:
    for stage in listed:
        commands = [header["command"] for header in stage.headers.values()]
        sources = {command.split("--from ")[1].split()[0] for command in commands if "--from " in command}
        follows = method_class(stage.name).follows
        names = {name.replace("/", "_").upper() + "_RUN" for name in follows}
        assert len(sources) == len(follows), f"{stage.name} follows {follows}, its presets start from {sources}"
        ends = {source.removesuffix("_RUN") for source in sources}
        assert all(any(end in name for name in names) for end in ends), f"{stage.name}: {sources} are not of {follows}"


def test_a_loss_is_the_weighted_sum_of_its_terms() -> None:
    terms = {"a": torch.tensor(2.0, requires_grad=True), "b": torch.tensor(3.0)}
    output = MethodOutput.of(terms, {"a": 0.5}, logged={"c": torch.tensor(100.0)})
    assert output.loss.item() == 0.5 * 2 + 3, "a term without a weight counts once, what is logged not at all"
    assert {name: term.item() for name, term in output.terms.items()} == {"a": 2, "b": 3, "c": 100}
    assert output.loss.requires_grad and not any(term.requires_grad for term in output.terms.values())


def test_tensors_of_former_names_load() -> None:
    former = {"speaker.words.weight": torch.zeros(1), "places.weight": torch.zeros(2), "vision.a": torch.zeros(3)}
    today = method_class("ekaid/answer").with_current_names(former)
    assert {name: len(tensor) for name, tensor in today.items()} == {
        "decoder.words.weight": 1, "node_types.weight": 2, "vision.a": 3,
    }  # fmt: skip
    assert method_class("c2f/diseases").config_class(places_weight=0.5).locations_weight == 0.5


def test_print_stages(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    print_stages()
    printed = capsys.readouterr().out
    assert STAGE in printed
    assert "191.18 M" in printed
    lines = {line.split(":")[0].strip(): line for line in printed.splitlines() if line.startswith("  ")}
    published = {f"{name} paper" for name in stages() if "paper" in preset_sizes(name)}
    assert published <= lines.keys(), "each says where its values come from"
    assert "models/model.py (5)" in lines["mccformers/answer paper"]
    assert "guesses: backbone_weights, queries," in lines["real/answer paper"]
    assert f"{STAGE} small" not in lines


# --- parts -----------------------------------------------------------------------------------------------------


def test_order_is_a_function_of_seed_and_epoch(prepared: Path) -> None:
    data = PairDataset(Prepared(prepared), "train", pixels=64)
    orders = []
    for seed, epoch in ((0, 0), (0, 1), (1, 0), (0, 0)):
        data.set_epoch(epoch)
        orders.append(list(EpochSampler(data, seed)))
    assert orders[0] == orders[3]
    assert orders[0] != orders[1]
    assert orders[0] != orders[2]
    assert sorted(orders[0]) == list(range(48))


def test_learning_rate_rises_and_falls() -> None:
    rates = [rate_at(part / 100, 0.1) for part in range(101)]
    assert rates[0] == 0
    assert rates[10] == 1
    assert rates[5] == pytest.approx(0.5)
    assert rates[55] == pytest.approx(0.5)
    assert rates[100] == pytest.approx(0, abs=1e-12)
    assert rate_at(1.5, 0.1) == pytest.approx(0, abs=1e-12)
    assert rate_at(0.0, 0.0) == 1


def test_the_other_schedules_and_optimisers(prepared: Path, tmp_path: Path) -> None:
    assert [rate_at(part, 0.0, "constant") for part in (0.0, 0.5, 1.0)] == [1, 1, 1]
    assert [rate_at(part, 0.2, "linear") for part in (0.1, 0.2, 0.6, 1.0)] == pytest.approx([0.5, 1, 0.5, 0])
    assert [rate_at(part, 0.1, "inverse_sqrt") for part in (0.05, 0.1, 0.4)] == pytest.approx([0.5, 1, 0.5])
    config = TrainConfig(optimizer="adam", beta2=0.99, weight_decay=0.1, schedule="constant", warmup=0.0,
                         decay_steps=(2, 4), decay=0.5, learning_rate=0.01)  # fmt: skip
    items = PairDataset(Prepared(prepared), "train", pixels=64, answered=True)
    kind = method_class("question_only/answer")
    model = kind(kind.config_class(**load_preset("question_only/answer", "tiny").model))
    trainer = MethodTrainer(lambda: model, config, RunFolder(tmp_path / "run"), items, {})
    optimiser = trainer.create_optimizer()
    assert type(optimiser) is torch.optim.Adam
    assert {(group["weight_decay"], group["betas"]) for group in optimiser.param_groups} == {(0.1, (0.9, 0.99))}
    schedule = trainer.create_scheduler(10)
    rates = []
    for _ in range(5):
        rates.append(schedule.get_last_lr()[0])
        optimiser.step()
        schedule.step()
    assert rates == pytest.approx([0.01, 0.01, 0.005, 0.005, 0.0025])
    with pytest.raises(ConfigError, match="warm-up"):
        TrainConfig(schedule="inverse_sqrt", warmup=0.0)
    with pytest.raises(ConfigError, match="beta2"):
        TrainConfig(beta2=1.0)


def test_selection_scores_by_hand() -> None:
    def one(answer: str, reference: str, kind: str = "difference") -> Prediction:
        return Prediction("case", "patient", kind, "question", answer, reference=reference)

    edema = "the main image has an additional finding of edema than the reference image."
    hernia = "the main image has an additional finding of hernia than the reference image."
    scores = answer_scores([one(edema, edema), one(edema, hernia), one("nothing has changed.", hernia)])
    assert scores[Method.selection] == pytest.approx(2 * 1 / (2 + 3))
    assert scores["exact"] == pytest.approx(1 / 3)
    assert answer_scores([one("yes", "yes", "presence"), one("no", "yes", "presence")])[Method.selection] == 0.5
    assert answer_scores([one("nothing has changed.", "nothing has changed.")])[Method.selection] == 0.0


def test_half_written_checkpoints_do_not_count(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.open({"fingerprint": {}})
    for step in (2, 4, 6):
        path = folder.checkpoints / f"checkpoint-{step}"
        path.mkdir(parents=True)
        (path / "model.safetensors").write_bytes(b"weights")
        if step != 6:
            folder.seal(step, spent=step / 2)
    (folder.checkpoints / "tmp-checkpoint-8").mkdir()
    with folder.log.open("w") as stream:
        stream.writelines(json.dumps({"step": step}) + "\n" for step in (2, 4, 5, 6))
        stream.write('{"step": 7, "lo')
    last = folder.clear()
    assert (last.step, last.spent) == (4, 2.0)
    assert sorted(path.name for path in folder.checkpoints.iterdir()) == ["checkpoint-2", "checkpoint-4"]
    assert [json.loads(line)["step"] for line in folder.log.read_text().splitlines()] == [2, 4]


def test_pruning_keeps_the_newest_two_and_the_best(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    for step in range(1, 6):
        (folder.checkpoints / f"checkpoint-{step}").mkdir(parents=True)
        folder.seal(step, 0.0)
    folder.prune(best=2)
    assert [checkpoint.step for checkpoint in folder.complete_checkpoints()] == [2, 4, 5]


def test_a_damaged_record_is_said_so(tmp_path: Path) -> None:
    write_json(tmp_path / "run.json", {"finished": True})
    assert read_json(tmp_path / "run.json") == {"finished": True}
    (tmp_path / "run.json").write_text('{"finished": tr')
    with pytest.raises(RunError, match="damaged"):
        RunFolder(tmp_path).open({"fingerprint": {}})


# --- kill -9 ---------------------------------------------------------------------------------------------------

LONGER = {"train.epochs": 4, "train.eval_every": 2, "train.batch_size": 8, "model.dropout": 0.1, "train.augment": 1.0}

DIE = """
import os, signal, sys
from pathlib import Path
from intervalchange.training import train, trainer, run_folder
moment, step = sys.argv[1], int(sys.argv[2])
def die(*_): os.kill(os.getpid(), signal.SIGKILL)
Trainer = trainer.MethodTrainer
if moment == "step":
    plain = Trainer.training_step
    def training_step(self, *a, **k):
        if self.state.global_step == step: die()
        return plain(self, *a, **k)
    Trainer.training_step = training_step
elif moment == "weights":
    plain = Trainer._save
    def _save(self, output_dir=None, state_dict=None):
        plain(self, output_dir, state_dict)
        if self.state.global_step == step:
            path = Path(output_dir) / "model.safetensors"
            path.write_bytes(path.read_bytes()[:1000])
            die()
    Trainer._save = _save
elif moment == "seal":
    plain = run_folder.RunFolder.seal
    run_folder.RunFolder.seal = lambda self, at, spent: die() if at == step else plain(self, at, spent)
elif moment == "prune":
    plain = run_folder.RunFolder.prune
    def prune(self, best):
        if len(self.complete_checkpoints()) > 2:
            plain_rmtree = run_folder.shutil.rmtree
            run_folder.shutil.rmtree = die
        plain(self, best)
    run_folder.RunFolder.prune = prune
elif moment == "end":
    run_folder.RunFolder.finish = die
train(sys.argv[3], sys.argv[4].split(","), sys.argv[5], "tiny", overrides=eval(sys.argv[6]))
"""


@pytest.fixture(scope="module")
def whole(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The uninterrupted run."""
    return train(STAGE, prepared, tmp_path_factory.mktemp("runs") / "whole", "tiny", overrides=LONGER)


def killed_run(prepared: Path | list[Path], out: Path, moment: str, step: int, overrides: dict[str, object]) -> None:
    """Train in another process that kills itself with signal 9."""
    data = ",".join(map(str, prepared if isinstance(prepared, list) else [prepared]))
    command = [sys.executable, "-c", DIE, moment, str(step), STAGE, data, str(out), repr(overrides)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env={**os.environ, "PYTHONPATH": src()})
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not read_json(out / "run.json")["finished"]


def src() -> str:
    return str(Path(__file__).resolve().parents[2] / "src")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("moment", "step", "workers"),
    [
        ("step", 1, 0),
        ("step", 8, 2),
        ("step", 12, 0),
        ("weights", 8, 0),
        ("weights", 8, 2),
        ("seal", 2, 0),
        ("seal", 6, 2),
        ("prune", 0, 0),
        ("end", 0, 0),
    ],
)
def test_killed_at_a_chosen_moment_ends_with_the_same_weights(
    whole: Path, prepared: Path, tmp_path: Path, moment: str, step: int, workers: int
) -> None:
    overrides = {**LONGER, "train.workers": workers}
    killed_run(prepared, tmp_path / "run", moment, step, overrides)
    run = train(STAGE, prepared, tmp_path / "run", "tiny", overrides=overrides)
    assert same(whole, run)
    there, here = (read_json(path / "run.json")["selected"] for path in (whole, run))
    assert there == here
    steps = [(line["step"], "loss" in line) for line in map(json.loads, (run / "log.jsonl").read_text().splitlines())]
    assert len(steps) == len(set(steps))


@pytest.mark.slow
def test_the_average_of_the_weights_is_taken_up_again(prepared: Path, tmp_path: Path) -> None:
    overrides = {**LONGER, "train.average": 0.9}
    averaged = train(STAGE, prepared, tmp_path / "averaged", "tiny", overrides=overrides)
    killed_run(prepared, tmp_path / "run", "step", 8, overrides)
    assert same(averaged, train(STAGE, prepared, tmp_path / "run", "tiny", overrides=overrides))


def test_what_is_kept_is_the_average_of_the_weights(prepared: Path, tmp_path: Path) -> None:
    overrides = {"train.epochs": 1, "train.average": 0.5, "train.eval_every": 1, "train.max_steps": 3}
    run = train(STAGE, prepared, tmp_path / "run", "tiny", overrides=overrides)
    plain = train(STAGE, prepared, tmp_path / "plain", "tiny", overrides={**overrides, "train.average": 0.0})
    kept = load_file(run / "checkpoints" / "checkpoint-3" / AVERAGE)
    steps = [load_file(run / "checkpoints" / f"checkpoint-{step}" / "model.safetensors") for step in (2, 3)]
    before = load_file(run / "checkpoints" / "checkpoint-2" / AVERAGE)
    name = next(name for name, tensor in kept.items() if (steps[0][name] - steps[1][name]).abs().max() > 1e-6)
    # Two steps are in it: the decay is (1 + 2) / (10 + 2), not yet .5.
    assert torch.allclose(kept[name], 0.25 * before[name] + 0.75 * steps[1][name], atol=1e-7)
    # The weights that learn are the same with and without it.
    assert torch.equal(load_file(plain / "checkpoints" / "checkpoint-3" / "model.safetensors")[name], steps[1][name])


@pytest.mark.slow
def test_killed_again_and_again_from_outside(whole: Path, prepared: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    arguments = f"{STAGE!r}, {str(prepared)!r}, {str(out)!r}, 'tiny', overrides={LONGER!r}"
    code = f"from intervalchange.training import train; train({arguments})"
    for attempt in range(5):
        process = subprocess.Popen(
            [sys.executable, "-c", code], stderr=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": src()}
        )
        before = {path.parent.name for path in out.rglob(MARKER)}
        give_up = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < give_up:
            if {path.parent.name for path in out.rglob(MARKER)} - before:
                time.sleep(0.05 * attempt)
                break
            time.sleep(0.02)
        process.kill()
        process.wait()
    run = train(STAGE, prepared, out, "tiny", overrides=LONGER)
    assert same(whole, run)


@pytest.mark.parametrize(
    ("gpu", "known", "expected"),
    [
        (True, {}, "bf16"),
        (False, {"amx_bf16": True}, "bf16"),
        (False, {"avx512_bf16": True}, "fp32"),
        (False, {}, "fp32"),
    ],
)
def test_auto_takes_bf16_where_the_machine_multiplies_in_it(
    gpu: bool, known: dict[str, bool], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: known, raising=False)
    assert fastest_precision() == expected
