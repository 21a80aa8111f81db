"""A frozen table of how rare n-grams are: CIDEr-D does not move with the test set. JSON; counts, no sentence."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from intervalchange.errors import SourceError
from intervalchange.evaluation.answers.json_lines import decoded, json_value
from intervalchange.evaluation.metrics.text import ORDER, DocumentFrequency

FORMAT = "intervalchange idf 1"


def write_idf(path: str | Path, frequency: DocumentFrequency) -> None:
    """Write the n-grams (1 to 4 words of `tokens.tokenise`) with the number of references that hold each."""
    plain = {
        "format": FORMAT,
        "origin": frequency.origin,
        "references": frequency.references,
        "ngrams": dict(sorted(frequency.counted().items())),
    }
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(json.dumps(plain, ensure_ascii=False, indent=0) + "\n", encoding="utf-8")


def load_idf(path: str | Path) -> DocumentFrequency:
    """The table of a file, its origin with the hash of its content. Raises SourceError."""
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SourceError(
            f"cannot be read ({error.strerror}).", where=path, remedy="Write it with --save-idf."
        ) from None
    plain = json_value(decoded(content, path), path)
    counts = plain.get("ngrams") if isinstance(plain, dict) and plain.get("format") == FORMAT else None
    references = plain.get("references") if isinstance(plain, dict) else None
    if not isinstance(counts, dict) or not isinstance(references, int) or references < 1:
        raise SourceError(
            "is not a table of n-grams.", where=path, remedy="Write it with `score FILE --save-idf TABLE`."
        )
    for gram, count in counts.items():
        if not isinstance(count, int) or not 0 < count <= references or not 0 < len(gram.split(" ")) <= ORDER:
            raise SourceError(
                f"the n-gram {gram!r} has the count {count!r}.",
                where=path,
                remedy=f"Counts are 1 to {references}, of 1 to {ORDER} words.",
            )
    digest = hashlib.sha256(content).hexdigest()[:12]
    return DocumentFrequency(references, {}, f"{plain.get('origin', path.name)}, frozen, sha256 {digest}", counts)
