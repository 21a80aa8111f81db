"""One self-contained page for one or more answers: both films, the words, the change as a table, where, how sure."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from intervalchange import grammar
from intervalchange.inference import Answered, Shown
from intervalchange.policy import RESEARCH_USE
from intervalchange.records import Change

SIDE = 448
"""Pixels of a film on the page."""
SMALL, MOST_MAPS = 224, 9
"""Pixels of the film under the map of a part of the answer, and how many of them are drawn."""


@dataclass(frozen=True)
class Entry:
    """One answer on the page."""

    title: str
    answered: Answered
    truth: str = ""
    """The true answer, where it is known."""
    note: str = ""
    """Where the films are from."""


STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --add: #c0392b; --gone: #1f7a8c; --level: #a66b00; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 1020px; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.5rem; margin: 0 0 .25rem; } h2 { font-size: 1.15rem; margin: 2.5rem 0 .5rem; }
.notice { border: 1px solid var(--line);
  border-left: 4px solid var(--add); padding: .5rem .8rem; background: var(--soft); }
.films { display: grid; grid-template-columns: repeat(auto-fit, minmax(240px, 1fr)); gap: .8rem; margin: .8rem 0; }
.parts { display: grid; grid-template-columns: repeat(auto-fill, minmax(170px, 1fr)); gap: .6rem; margin: .6rem 0; }
summary { cursor: pointer; }
figure { margin: 0; } figure img { width: 100%; border-radius: 4px; display: block; background: #000; }
figcaption { font-size: .85rem; opacity: .8; padding-top: .25rem; }
.answer { font-size: 1.15rem; margin: .4rem 0; } .truth { margin: .2rem 0; }
.right { color: #1e8449; } .wrong { color: #b9770e; }
table { border-collapse: collapse; width: 100%; margin: .6rem 0; }
th, td { text-align: left; padding: .35rem .6rem; border-bottom: 1px solid var(--line); }
.bar { display: inline-block; height: .7em; border-radius: 2px; vertical-align: baseline; margin-right: .5em; }
.added { background: var(--add); } .missing { background: var(--gone); } .level { background: var(--level); }
.maybe { opacity: .45; }
small { opacity: .75; }
"""


def answer_page(entries: Sequence[Entry], title: str = "Interval change") -> str:
    """A complete HTML document without external parts."""
    body = "\n".join(_section(entry) for entry in entries)
    return (
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>{html.escape(title)}</title><style>{STYLE}</style></head><body>"
        f"<h1>{html.escape(title)}</h1><p class='notice'><strong>{html.escape(RESEARCH_USE)}</strong> "
        "The answers come from a small model and are often wrong on real films.</p>"
        f"{body}</body></html>\n"
    )


def _section(entry: Entry) -> str:
    prediction = entry.answered.prediction
    films = [_figure(entry.answered.prior, "Prior (the reference image)")] if entry.answered.prior else []
    films.append(_figure(entry.answered.current, "Current (the main image)"))
    attribution = (prediction.evidence or {}).get("change")
    if attribution is not None:
        films.append(
            _figure(entry.answered.current, "Where the change was seen, on the current film", np.asarray(attribution))
        )
    nowhere = (
        ""
        if attribution is not None or prediction.evidence is None
        else "<p><small>No change was seen, so there is no heat map.</small></p>"
    )
    warnings = "".join(f"<li>{html.escape(text)}</li>" for text in prediction.warnings)
    return (
        f"<section><h2>{html.escape(entry.title)}</h2>"
        + (f"<p><small>{html.escape(entry.note)}</small></p>" if entry.note else "")
        + f"<p><small>{html.escape(prediction.question)}</small></p>"
        f"<p class='answer'><strong>{html.escape(prediction.answer)}</strong></p>"
        + _truth(entry)
        + f"<div class='films'>{''.join(films)}</div>{nowhere}"
        + _used(entry.answered)
        + _table(prediction.change, dict(prediction.confidence or {}))
        + (f"<p>Warnings:</p><ul>{warnings}</ul>" if warnings else "")
        + "</section>"
    )


def _used(answered: Answered) -> str:
    """The maps of single regions, graph nodes or findings, where the method gives them; folded in."""
    maps = {name: attribution for name, attribution in (answered.prediction.evidence or {}).items() if name != "change"}
    if not maps:
        return ""
    drawn = "".join(
        _figure(answered.current, name, np.asarray(attribution), side=SMALL)
        for name, attribution in list(maps.items())[:MOST_MAPS]
    )
    more = f"<p><small>and {len(maps) - MOST_MAPS} more</small></p>" if len(maps) > MOST_MAPS else ""
    return (
        "<details><summary>What the answer used, part by part, on the current film</summary>"
        f"<div class='parts'>{drawn}</div>{more}</details>"
    )


def _truth(entry: Entry) -> str:
    if not entry.truth:
        return ""
    right = grammar.parse(entry.truth).change == grammar.parse(entry.answered.prediction.answer).change
    word, kind = ("the same", "right") if right else ("different", "wrong")
    return f"<p class='truth'>Truth: {html.escape(entry.truth)} <span class='{kind}'>({word})</span></p>"


def _table(change: Change | None, confidence: dict[str, float]) -> str:
    """Every change the model named, and those it considered."""
    if change is None:
        return ""
    chosen = {f"added:{name}" for name in change.added} | {f"missing:{name}" for name in change.missing}
    chosen |= {f"level:{level.finding}" for level in change.levels}
    words = {f"level:{level.finding}": f"{level.prior} → {level.current}" for level in change.levels}
    rows = sorted((key for key in confidence if ":" in key), key=lambda key: (key not in chosen, -confidence[key]))
    shown = [key for key in rows if key in chosen] + [key for key in rows if key not in chosen][:4]
    if not shown:
        return ""
    lines = []
    for key in shown:
        way, finding = key.split(":", 1)
        chance = confidence[key]
        said = "named" if key in chosen else "considered, not named"
        change_word = way if way != "level" else f"level {html.escape(words.get(key, ''))}"
        bar = f"<span class='bar {way}{'' if key in chosen else ' maybe'}' style='width:{90 * chance:.0f}px'></span>"
        lines.append(
            f"<tr><td>{html.escape(finding)}</td><td>{change_word}</td><td>{bar}{chance:.2f}</td><td>{said}</td></tr>"
        )
    whole = (
        "<p><small>Probability of the whole answer, findings taken as independent: "
        f"{confidence['answer']:.2f}</small></p>"
        if "answer" in confidence
        else ""
    )
    head = "<tr><th>Finding</th><th>Change</th><th>Probability</th><th></th></tr>"
    return f"<table>{head}{''.join(lines)}</table>{whole}"


def _figure(shown: Shown, caption: str, attribution: np.ndarray | None = None, side: int = SIDE) -> str:
    picture = overlay(shown.pixels, attribution, side)
    buffer = io.BytesIO()
    picture.save(buffer, format="JPEG", quality=88)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    words = html.escape(caption)
    image = f"<img alt='{words}' src='data:image/jpeg;base64,{data}'>"
    return f"<figure>{image}<figcaption>{words}</figcaption></figure>"


def overlay(film: np.ndarray, attribution: np.ndarray | None = None, side: int = SIDE) -> Image.Image:
    """(s, s) uint8 film, with a (g, g) heat map in [0, 1] laid over it in orange. Returns RGB, `side` pixels square."""
    grey = np.asarray(Image.fromarray(film).resize((side, side), Image.Resampling.LANCZOS), dtype=np.float32) / 255
    picture = np.repeat(grey[..., None], 3, axis=2)
    if attribution is not None:
        scaled = Image.fromarray(attribution.astype(np.float32)).resize((side, side), Image.Resampling.BICUBIC)
        strength = np.clip(np.asarray(scaled), 0, 1)
        # Relative to the map's own peak, so that a faint map still shows where; the table says how sure.
        strength = np.clip(strength / max(float(strength.max()), 1e-6), 0, 1)[..., None] ** 1.5
        colour = np.array([1.0, 0.45, 0.05], dtype=np.float32)
        picture = picture * (1 - 0.55 * strength) + colour * 0.55 * strength
    return Image.fromarray((255 * np.clip(picture, 0, 1)).astype(np.uint8))
