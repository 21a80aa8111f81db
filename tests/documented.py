"""The commands of the pages, and a small world in which they run: simulated layouts for real data, the tiny size.

A page is run from its top in an empty folder, so it must make what it uses. What it cannot make is provided here: the
data sets that a reader has and we do not (`/path/to/...`, `ROOT`), prepared folders that another page makes
(`prepared/...`), films, and answers of another model.
"""

from __future__ import annotations

import csv
import json
import re
import shlex
import shutil
import threading
import time
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import look_alikes
import pytest
import tiny_vlm
import uvicorn
from chat_server import ChatServer
from memory_archive import looks_once, two_visits

from intervalchange import cli
from intervalchange.inference import DEMO

ROOT = Path(__file__).resolve().parent.parent
LAYOUT_OF_SOURCE = {"mimic_cxr": "mimic_diff_vqa", "imagenome": "mimic_diff_vqa", "reports": "mimic_diff_vqa"}
"""Sources that another layout than their own contains."""
SOURCE_OF_NAME = {"objects": "object_cxr", "mine": "pairs", "hospital": "dicom"}
"""Prepared folders that are not called after their source."""
LARGE = ("mimic_diff_vqa", "pairs", "dicom")
"""Layouts on which the demo answers: it reads 128 pixels."""
TRAINED_ON = ("mimic_diff_vqa", "chexpert", "rsna", "covidx", "object_cxr", "siim", "nih")
"""Layouts that stages are trained on: every split needs a few patients."""
LABELS = {"chexpert": "[edema, pleural effusion]", "siim": "[pneumothorax]", "rsna": "[pneumonia]"}
"""Labels of a downstream task whose command leaves them to the paper preset."""
SHAPE_OF_CM_CGNS = {"backbone": "conv", "encoder_widths": "[16,32,32]", "encoder_depth": "0", "stem_stride": "2"}
"""The encoder of its tiny preset."""
PUBLISHED = ("rad_dino", "biovil", "biovil_t", "torchxrayvision", "mgca", "gloria", "chexnet")
"""Encoders of others, which `look_alikes` stands for."""
ENCODER = ("backbone", "backbone_weights", "encoder_widths", "encoder_depth", "stem_stride", "pyramid_width")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    language: str
    title: str
    """The file that the block is, where it is one."""
    text: str

    @property
    def is_script(self) -> bool:
        """Python that a reader runs."""
        return self.language == "python" and not self.title

    def commands(self) -> list[list[str]]:
        """The words after `intervalchange` of every line that begins with it."""
        lines = self.text.replace("\\\n", " ").splitlines()
        # shlex takes a # inside a word (openai:URL#MODEL) for a comment, which no shell does.
        lines = [re.sub(r"(^|\s)#.*", "", line) for line in lines]
        return [shlex.split(line)[1:] for line in lines if line.startswith("intervalchange ")]


def blocks(page: str) -> list[Block]:
    """The fenced blocks of a page, in order."""
    text = (ROOT / page).read_text(encoding="utf-8")
    fences = re.findall(r"^```([a-z]*)([^\n]*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    titles = [re.search(r'title="([^"]*)"', options) for _, options, _ in fences]
    return [
        Block(language, title[1] if title else "", inside)
        for (language, _, inside), title in zip(fences, titles, strict=True)
    ]


def commands(page: str) -> list[list[str]]:
    """Every `intervalchange ...` of a page."""
    return [command for block in blocks(page) for command in block.commands()]


def all_pages() -> list[str]:
    """README.md and every page of docs, by listing."""
    return ["README.md", *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md"))]


def pages() -> list[str]:
    """The pages that have something to run."""
    return [page for page in all_pages() if commands(page) or any(block.is_script for block in blocks(page))]


def changed(command: list[str], **options: str) -> list[str]:
    """The command with options given other values, or added. `train__seed` is `--train.seed`."""
    command = list(command)
    for name, value in options.items():
        flag = f"--{name.replace('__', '.')}"
        if flag in command:
            command[command.index(flag) + 1] = value
        else:
            command += [flag, value]
    return command


def value_of(command: list[str], flag: str) -> str:
    """The value of an option; empty where it is not given."""
    return command[command.index(flag) + 1] if flag in command else ""


def without(command: list[str], *flags: str) -> list[str]:
    """The command without options that have one value."""
    command = list(command)
    for flag in flags:
        if flag in command:
            at = command.index(flag)
            del command[at : at + 2]
    return command


@dataclass
class World:
    """What is simulated and prepared once and used by every page."""

    folder: Path
    shared: Path
    prepared: dict[tuple[str, ...], Path] = field(default_factory=dict)
    server: ChatServer | None = None
    served: list[tuple[uvicorn.Server, threading.Thread]] = field(default_factory=list)

    def layout(self, name: str) -> Path:
        """A few simulated patients in a layout."""
        out = self.folder / "layouts" / name
        if not out.exists():
            patients = "12" if name in TRAINED_ON else "7"
            small = {"patients": patients, "pixels": "160" if name in LARGE else "64"}
            command = ["simulate", str(out), "--layout", name, "--seed", "0", "--splits", "5:1:1", "--workers", "1"]
            assert cli.main(changed(command, **small)) == 0
        return out

    def root(self, source: str) -> Path:
        """What stands for the data set of a source."""
        if source == "cxr_longitudinal":
            return self.shared / "data" / "cxr_longitudinal"
        layout = self.layout(LAYOUT_OF_SOURCE.get(source, source))
        return self._reports(layout) if source == "reports" else layout

    def _reports(self, layout: Path) -> Path:
        """The films and reports of the cohort as a CSV of one's own."""
        table = layout.with_name("REPORTS.csv")
        if not table.exists():
            films = {film.parent.name: film for film in sorted((layout / "mimic-cxr-jpg").rglob("*.jpg"))}
            with table.open("w", newline="", encoding="utf-8") as file:
                rows = csv.writer(file)
                rows.writerow(["patient", "study", "date", "report", "image"])
                for day, report in enumerate(sorted((layout / "mimic-cxr").rglob("s*.txt"))):
                    film = films.get(report.stem)
                    if film is not None:
                        rows.writerow([report.parent.name, report.stem, day, report.read_text("utf-8"), film])
            patients = sorted({report.parent.name for report in (layout / "mimic-cxr").rglob("s*.txt")})
            splits = [f"{patient},{('train', 'val', 'test')[row % 3]}" for row, patient in enumerate(patients)]
            table.with_name("splits.csv").write_text("\n".join(["patient_id,split", *splits, ""]), encoding="utf-8")
        return table

    def prepare(self, command: list[str]) -> None:
        """Run `prepare SOURCE ROOT OUT ...` small; what the same source has given already is copied."""
        _, source, root, out, *options = command
        where = Path(str(self.shared) + root.removeprefix("../shared")) if root.startswith("../shared") else Path(root)
        if not where.exists():
            where = self.root(source)
        pixels = "160" if source in (*LARGE, *LAYOUT_OF_SOURCE) or where.suffix == ".csv" else "64"
        options = changed([*options], pixels=pixels, workers="1")
        if source == "reports":  # so few patients that a split by hash may leave one empty
            options = changed(options, split=str(self.root(source).with_name("splits.csv")))
        key = (source, str(where.resolve()), *options)
        if key not in self.prepared and "--regions" not in options:
            self.prepared[key] = self.folder / f"prepared-{len(self.prepared)}"
            salt = ["--salt", str(self.folder / "salt")] if source == "dicom" else []
            words = changed(["prepare", source, str(where), str(self.prepared[key]), *options])
            assert cli.main([*without(words, "--salt"), *salt]) == 0, command
        if key in self.prepared and not Path(out).exists():
            if "--dry-run" not in options:
                shutil.copytree(self.prepared[key], out)
        else:
            assert cli.main(["prepare", source, str(where), out, *options]) == 0, command

    def data(self, path: str) -> None:
        """A prepared folder that a page uses and does not make."""
        if not Path(path).exists():
            name = SOURCE_OF_NAME.get(Path(path).name, Path(path).name)
            source = name if name in (*LABELS, "covidx", "object_cxr", "nih", "pairs", "dicom") else "mimic_diff_vqa"
            self.prepare(["prepare", source, "ROOT", path])

    def furnish(self, folder: Path) -> None:
        """The films, tables and answers that a reader of the pages has: in `folder`, the working directory."""
        cohort = self.layout("mimic_diff_vqa")
        shutil.copytree(ROOT / "src" / "intervalchange" / "samples", folder / "samples")
        films = sorted((folder / "samples").glob("*.jpg"))
        dicom = self.shared / "data" / "dicom" / "nih_siim_cr_mono2_jpeg.dcm"
        for name in ("a.png", "2019.png", "prior.png"):
            shutil.copy(films[0], folder / name)
        for name in ("b.dcm", "2020.dcm"):
            shutil.copy(dicom, folder / name)
        shutil.copy(dicom.with_name("nema_rg1_cr_chest_mono1_j2k.dcm"), folder / "2019.dcm")
        shutil.copy(films[1], folder / "current.png")
        shutil.copy(self.root("reports"), folder / "REPORTS.csv")
        shutil.copy(next(cohort.rglob("mimic_pair_questions.csv")), folder)
        self._answers(folder)
        for name in PUBLISHED:
            look_alikes.write(name, folder)

    def _answers(self, folder: Path) -> None:
        """Answers of another model to the test pairs of the cohort: COCO results."""
        with (folder / "mimic_pair_questions.csv").open(encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file) if row["question_type"] == "difference"]
        unique = {f"{row['study_id']}_{row['ref_id']}": row["answer"] for row in rows if row["split"] == "test"}
        results = [{"image_id": pair, "caption": answer} for pair, answer in unique.items()]
        (folder / "results.json").write_text(json.dumps(results), encoding="utf-8")

    def small(self, command: list[str]) -> list[str]:
        """A documented command of any verb but `simulate` and `prepare`, at a size that a test can bear."""
        command = [self.foreign(word.replace("PREPARED", "prepared/any")) for word in command]
        for flag, value in pairwise(command):
            if flag == "--data":
                self.data(value)
        if command[0] == "train":
            return self._train(command) if "--list" not in command else command
        if command[:2] == ["challenge", "enter"] and not Path(command[3]).exists():
            Path(command[3]).parent.mkdir(exist_ok=True)
            Path(command[3]).symlink_to(DEMO)
        if command[:2] == ["challenge", "new"]:
            return changed(command, patients="4")
        if command[0] == "predict" and command[1].startswith("hf:"):
            return [*command, "--max-tokens", "4"]
        if command[0] == "check":
            local = [word for word in command if not word.startswith("http")]
            return changed(local, limit="4")
        if command[0] == "score" and not {"--risk", "--coverage", "--metrics"} & {*command}:
            return changed([*command, *(() if "--no-meteor" in command else ("--no-meteor",))], replicates="20")
        if "--risk" in command:
            return changed(command, risk="0.9")
        if value_of(command, "--films") == "chexpert_5x200.csv" and not Path("chexpert_5x200.csv").exists():
            shutil.copy(next(self.layout("chexpert").rglob("test_labels.csv")), "chexpert_5x200.csv")
        return command

    def foreign(self, word: str) -> str:
        """A model of others: ours that stands for it."""
        if word.startswith("openai:http://127.0.0.1:8000/v1#"):
            if self.server is None:
                self.server = ChatServer(lambda films, text: "There is a new pleural effusion.").__enter__()
            return self.server.name
        if word.startswith("hf:"):
            folder = self.folder / "vlm"
            return f"hf:{folder if folder.exists() else tiny_vlm.llava(folder)}"
        return word

    def _serve(self, app: Any, host: str, port: int, **_: object) -> None:
        """In place of `uvicorn.run`, which goes on until it is stopped; the one of a page before is ended."""
        self._stop()
        server = uvicorn.Server(uvicorn.Config(app, host=host, port=port, log_level="warning"))
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            time.sleep(0.05)
        self.served.append((server, thread))

    def _stop(self) -> None:
        for server, thread in self.served:
            server.should_exit = True
            thread.join()
        self.served.clear()

    def close(self) -> None:
        """End the servers that a page has asked or started."""
        self._stop()
        if self.server is not None:
            self.server.__exit__(None, None, None)

    def _train(self, command: list[str]) -> list[str]:
        """The tiny preset, two steps, few films; a downstream task gets an encoder of its own size."""
        few = {"max_steps": "2", "batch_size": "4", "eval_cases": "8", "share": "1", "precision": "fp32"}
        own = value_of(command, "--size").endswith(".yaml")
        size = value_of(command, "--size") if own else "tiny"
        small = changed(command, size=size, **{f"train__{name}": value for name, value in few.items()})
        if command[1] == "ffa_cl/classify" and Path(value_of(command, "--data")).name == "labels":
            small = changed(small, model__labels="[edema, fracture, pneumothorax]")  # of the fourteen of MIMIC-CXR
        if command[1].startswith("tasks/"):
            labels = LABELS.get(Path(value_of(command, "--data")).name)
            if labels and "--model.labels" not in small:
                small = changed(small, model__labels=labels)
            if "--model.decoder_width" in small:
                small = changed(small, model__decoder_width="16")
            if value_of(small, "--model.backbone_weights").split(":")[0] not in (*PUBLISHED, "imagenet"):
                small = without(small, *(f"--model.{name}" for name in ENCODER))
            small = changed(small, model__pixels="64")
            if "--from" in small:
                small = changed(small, **{f"model__{name}": value for name, value in SHAPE_OF_CM_CGNS.items()})
        return small

    def run(self, command: list[str]) -> None:
        """A documented command, small, in the working directory."""
        if command[0] == "simulate":
            layout, out = value_of(command, "--layout") or "mimic_diff_vqa", Path(command[1])
            if not out.exists():
                out.parent.mkdir(parents=True, exist_ok=True)
                out.symlink_to(self.layout(layout))
        elif command[0] == "prepare":
            self.prepare(command)
        elif command[0] == "serve":
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("uvicorn.run", self._serve)
                # Another page asks this port, perhaps at the same time in another process; nobody asks the archive's.
                port = "0" if "--archive" in command else value_of(command, "--port") or "7860"
                assert cli.main(changed(command, port=port)) == 0
        elif command[0] == "watch":
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("intervalchange.archive.addresses.open_archive", lambda address, title: two_visits())
                patch.setattr("intervalchange.serving.watcher.watch", looks_once)
                assert cli.main(command) == 0
        elif not needs_the_hub(command):
            small = self.small(command)
            assert cli.main(small) == 0, (command, small)


def needs_the_hub(command: list[str]) -> bool:
    """Whether a command reads weights or a tokenizer from the network."""
    return (
        value_of(command, "--model.backbone_weights") in PUBLISHED
        or value_of(command, "--model.backbone") == "hub"
        or value_of(command, "--model.ofa_weights") != ""
    )
