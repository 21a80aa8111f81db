"""How long the reward of `intervalchange.plugins.reward` takes: CPU time a sample, of template answers.

python benchmarks/reward.py --samples 20000
"""

from __future__ import annotations

import argparse
import random
import time

from intervalchange.evaluation.metrics.change import encoded_answer
from intervalchange.findings import FINDINGS
from intervalchange.grammar import render
from intervalchange.plugins.reward import change_reward
from intervalchange.records import Change


def answers(count: int, seed: int) -> list[str]:
    """Sentences of the template with up to four findings."""
    uniforms = random.Random(seed)
    made = []
    for _ in range(count):
        named = uniforms.sample(FINDINGS, uniforms.randint(0, 4))
        cut = uniforms.randint(0, len(named))
        made.append(render(Change.of(named[:cut], named[cut:])))
    return made


def microseconds(completions: list[str], references: list[str], batch: int) -> float:
    """CPU time a sample, in batches as a trainer hands them over."""
    start = time.process_time()
    for row in range(0, len(completions), batch):
        change_reward(completions[row : row + batch], reference=references[row : row + batch])
    return (time.process_time() - start) / len(completions) * 1e6


def main() -> None:
    """Print the two figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=20_000)
    parser.add_argument("--batch", type=int, default=8)
    options = parser.parse_args()
    predicted, target = answers(options.samples, 0), answers(options.samples, 1)
    encoded_answer.cache_clear()
    print(f"texts never seen: {microseconds(predicted, target, options.batch):.1f} microseconds a sample")
    print(f"texts seen before: {microseconds(predicted, target, options.batch):.1f} microseconds a sample")


if __name__ == "__main__":
    main()
