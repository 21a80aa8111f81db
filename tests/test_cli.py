"""The command line: where words may stand, what is refused before any work, the pages it prints."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from intervalchange import cli, extras, inference, runs
from intervalchange.cli.arguments import VerbParser, check_file, check_folder
from intervalchange.cli.stage_options import field_docstrings, stage_page
from intervalchange.config import TrainConfig, load_preset, preset_sizes
from intervalchange.data.readers import READERS
from intervalchange.errors import ConfigError, MissingPackageError
from intervalchange.grammar import DIFFERENCE_QUESTION
from intervalchange.inference import DEMO, Predictor
from intervalchange.methods import method_class, stages

FILMS = ["--prior", "a.png", "--current", "b.png"]


@pytest.mark.parametrize(
    "words",
    [
        ["demo", *FILMS, "is it new?"],
        ["demo", "is it new?", *FILMS],
        ["demo", *FILMS, "is it new?", "--json"],
        ["demo", "--json", *FILMS, "is it new?"],
        [*FILMS, "demo", "is it new?"],
        ["--json", "demo", *FILMS, "is it new?", "--force"],
    ],
    ids=" ".join,
)
def test_the_question_may_stand_anywhere(words: list[str]) -> None:
    options, rest = cli.parser().parse_known_args(["answer", *words])
    assert (options.run_folder, options.question, rest) == ("demo", "is it new?", [])


def test_without_a_question_it_is_the_usual_one() -> None:
    options, _ = cli.parser().parse_known_args(["answer", "demo", *FILMS])
    assert options.question == DIFFERENCE_QUESTION


@pytest.mark.parametrize("rest", [["a?", "b?"], ["a?", "--jsn"], ["--jsn"]])
def test_what_is_left_over_is_still_refused(rest: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as leave:
        cli.main(["answer", "demo", *FILMS, *rest])
    assert leave.value.code == 2 and "unrecognized arguments" in capsys.readouterr().err


def work(*_: object, **__: object) -> None:
    raise AssertionError("the work has begun")


@pytest.mark.parametrize(
    "command",
    [
        "answer demo --prior a.png --current b.png --report {}",
        "predict demo --data prepared --out {}",
        "evaluate demo --data prepared --out {}",
        "check demo --data prepared --out {}",
        "score answers.jsonl --out {}",
        "score answers.jsonl --save-idf {}",
        "simulate {}",
        "prepare pairs pairs.csv {}",
        "train real/answer --data prepared --out {}",
    ],
)
def test_paths_to_write_to_are_checked_before_the_work(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(inference, "load", work)
    Path("notes.txt").touch()
    assert cli.main(command.format("notes.txt/below/x.json").split()) == 2
    said = capsys.readouterr().err
    assert "notes.txt is a file, not a folder" in said and "Choose another path" in said
    if "--" in command.split("{}")[0]:
        Path("folder").mkdir()
        wrong = "notes.txt" if command.startswith("train") else "folder"
        assert cli.main(command.format(wrong).split()) == 2
        assert wrong in capsys.readouterr().err


def test_a_folder_without_permission_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "closed").mkdir()
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != "closed")  # Root may write anywhere.
    for check in (check_file, check_folder):
        with pytest.raises(ConfigError, match="may not write"):
            check(tmp_path / "closed" / "x")


def test_missing_folders_are_no_mistake(tmp_path: Path) -> None:
    check_file(tmp_path / "new" / "deep" / "x.json")
    check_folder(tmp_path / "new" / "deep")
    check_file(None)
    assert not (tmp_path / "new").exists(), "checking makes nothing"


def test_predict_writes_answers_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stub = SimpleNamespace(answer=work)
    model: Any = method_class("tasks/segmentation")
    silent = model(model.config_class(**load_preset("tasks/segmentation", "tiny").model))
    monkeypatch.setattr(inference, "load", lambda run: Predictor(silent, {"stage": "tasks/segmentation"}))
    monkeypatch.setattr(runs, "predict_to_file", stub.answer)
    assert cli.main(["predict", "run", "--data", str(tmp_path), "--out", str(tmp_path / "x.jsonl")]) == 2
    assert "use `intervalchange evaluate`" in capsys.readouterr().err
    assert not (tmp_path / "x.jsonl").exists()


def test_the_former_spelling_of_zero_shot_names_the_new_one(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--zero-shot"], ["--zero-shot", "prompts.yaml"], ["--zero-shot", "--labels", "edema"]):
        with pytest.raises(SystemExit) as leave:
            cli.main(["predict", "run", "--data", "prepared", *words])
        assert leave.value.code == 2
        assert "intervalchange evaluate RUN --data PREPARED --zero-shot" in capsys.readouterr().err


def test_options_of_zero_shot_belong_to_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["evaluate", "run", "--data", "prepared", "--films", "x.csv"]) == 2
    assert "--films belongs to --zero-shot" in capsys.readouterr().err


def test_evaluate_refuses_a_run_that_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(runs, "Prepared", lambda folder: None)
    assert cli.main(["evaluate", "demo", "--data", str(tmp_path)]) == 2
    assert "`intervalchange predict`, then `intervalchange score`" in capsys.readouterr().err


@pytest.mark.parametrize("stage", stages())
def test_the_page_of_a_stage_has_every_field(stage: str) -> None:
    size = preset_sizes(stage)[0]
    page = stage_page(stage, size)
    fields = [f"--model.{name}" for name in method_class(stage).config_class.options()]
    fields += [f"--train.{name}" for name in vars(TrainConfig())]
    lines = {line.split()[0] for line in page.splitlines() if line.startswith("  --")}
    assert lines == set(fields)
    assert "Passes over the training cases; `max_steps` overrides it." in page


def test_the_page_says_type_default_and_the_value_of_the_size(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["real/answer", "--size", "tiny", "--help"], ["--help", "--size", "tiny", "real/answer"]):
        assert cli.main(["train", *words]) == 0
        page = capsys.readouterr().out
        assert "--model.con_at  (map | tokens)  default map; tiny: " in page
        assert "Where L_con is taken: on the encoders' maps, or on the projected tokens." in page
        assert '--train.kinds  ([text, ...])  default "[difference]"' in page
    assert cli.main(["train", "--help"]) == 0
    assert "examples:" in capsys.readouterr().out
    assert cli.main(["train", "reel/answer", "--help"]) == 2


def test_a_field_without_words_has_none_of_its_neighbour() -> None:
    class Base:
        width: int = 1
        """Of the base."""
        depth: int = 2
        heads: int = 3
        """Heads."""

    class Derived(Base):
        width: int = 4

    assert field_docstrings(Base) == {"width": "Of the base.", "heads": "Heads."}
    assert field_docstrings(Derived) == {}, "a base class of another package, and no words of its own"


def test_a_missing_package_is_named_with_its_extra() -> None:
    problem = ModuleNotFoundError("No module named 'torch'", name="torch.nn")
    missing = extras.missing_package(problem, "answer")
    assert isinstance(missing, ImportError) and missing.exit_code == 2
    assert str(missing) == "answer needs torch: pip install 'intervalchange[models]'"
    pillow = ModuleNotFoundError("No module named 'PIL'", name="PIL")
    assert "[simulate]" in str(extras.missing_package(pillow, "simulate"))
    assert "[models]" in str(extras.missing_package(pillow, "prepare"))
    assert extras.missing_package(ModuleNotFoundError("x", name="intervalchange.nothing"), "answer") is None


def test_every_extra_that_is_named_exists() -> None:
    import tomllib

    project = tomllib.loads((Path(__file__).resolve().parent.parent / "pyproject.toml").read_text())["project"]
    for package, *names in extras.PACKAGES.values():
        for name in names:
            listed = {line.split(">=")[0].split("[")[0] for line in project["optional-dependencies"][name]}
            assert package in listed or package == "huggingface_hub", (package, name)


WITHOUT_EXTRAS = """
import sys
class Hiding:
    def __init__(self, finder):
        self.finder = finder
    def find_spec(self, name, path=None, target=None):
        return None if name.split(".")[0] in {forbidden} else self.finder.find_spec(name, path, target)
sys.meta_path[:] = [Hiding(finder) for finder in sys.meta_path]
from intervalchange.cli import main
sys.exit(main(sys.argv[1:]))
"""


def without_extras(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """A verb in a process in which no package of an extra can be imported."""
    code = WITHOUT_EXTRAS.format(forbidden=set(extras.PACKAGES))
    return subprocess.run([sys.executable, "-c", code, *words], cwd=cwd, capture_output=True, text=True, check=False)


def test_the_base_installation_scores_and_reads_tables(tmp_path: Path) -> None:
    line = {"patient_id": "1", "kind": "difference", "question": DIFFERENCE_QUESTION, "answer": "nothing has changed."}
    lines = [json.dumps({**line, "case_id": str(number), "reference": line["answer"]}) for number in range(4)]
    (tmp_path / "answers.jsonl").write_text("\n".join(lines) + "\n")
    done = without_extras("score", "answers.jsonl", "--json", "--replicates", "20", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["cases.count"] == 4
    shutil.copytree(DEMO.parent / "samples", tmp_path / "samples")
    done = without_extras("prepare", "pairs", "samples/pairs.csv", "out", "--dry-run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    done = without_extras("prepare", "pairs", "samples/pairs.csv", "out", cwd=tmp_path)
    assert done.returncode == 2 and "prepare needs pillow: pip install 'intervalchange[models]'" in done.stderr


def test_every_reader_works_without_extras(tmp_path: Path) -> None:
    modules = [*READERS.values(), "intervalchange.data.prepared", "intervalchange.data.case_films"]
    code = WITHOUT_EXTRAS.format(forbidden=set(extras.PACKAGES)).split("from intervalchange.cli")[0]
    code += f"import {', '.join(modules)}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_needs_more_says_which_extra(tmp_path: Path) -> None:
    done = without_extras("answer", "demo", *FILMS, cwd=tmp_path)
    assert done.returncode == 2 and "answer needs" in done.stderr and "'intervalchange[models]'" in done.stderr
    done = without_extras("simulate", "out", cwd=tmp_path)
    assert done.returncode == 2 and "'intervalchange[simulate]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_error_is_an_import_error_in_python() -> None:
    with pytest.raises(ImportError, match="pip install"):
        raise MissingPackageError("load needs torch:", remedy="pip install 'intervalchange[models]'")


HELP_PAGES = """
import sys
from intervalchange import cli
for verb in cli.VERBS:
    try:
        cli.main([verb, "--help"])
    except SystemExit as leave:
        assert leave.code == 0
    print("\\f")
print(*{name.split(".")[0] for name in sys.modules})
"""


def test_help_imports_nothing_heavy() -> None:
    """One process for all verbs: the parser imports every verb's module, whichever page is asked for."""
    done = subprocess.run([sys.executable, "-c", HELP_PAGES], capture_output=True, text=True, check=True)
    *pages, loaded = done.stdout.split("\f")
    assert len(pages) == len(cli.VERBS)
    assert all("examples:" in page and "Research use only" in page for page in pages)
    assert not set(loaded.split()) & set(extras.PACKAGES)


def test_verbs_have_what_the_parser_wants() -> None:
    for module in cli.VERBS.values():
        assert module.HELP and module.EXAMPLES and callable(module.run)
        module.add_arguments(VerbParser(add_help=False))
