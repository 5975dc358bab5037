"""What a finished clone consists of, in numbers."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import numpy as np

from rldf_agents.applications.result import versions
from rldf_agents.cloning.card import write_card
from rldf_agents.cloning.clone import Clone
from rldf_gym.atomic_file import write_durably

SUMMARY_FILE = "summary.json"


def summarize(clone: Clone) -> dict[str, Any]:
    """Write summary.json and the card README.md of a finished clone, and return the summary."""
    plan = clone.plan
    planned, read = _counts(clone)
    totals = clone.totals
    kept, rejected = Counter(totals.per_class), Counter(totals.rejected_per_class)
    summary: dict[str, Any] = {
        "pictures": totals.pictures,
        "planned": plan.layout.n_pictures,
        "generated": totals.generated,
        "rejected": sum(rejected.values()),
        "rejection_rate": sum(rejected.values()) / max(totals.generated, 1),
        "dropped": totals.dropped,
        "bytes": totals.size,
        "worker_seconds": totals.seconds,
        "splits": dict(plan.layout.splits),
        "format": clone.settings.format,
        "grammar": plan.grammar.name,
        "generator": clone.job.generator.name,
        "fingerprint": plan.fingerprint,
        "seed": plan.seed,
        "class_axes": [plan.grammar.axis_names[axis] for axis in plan.class_axes],
        "classes": [
            {
                "class": match.name,
                "folder": plan.classes[number].folder,
                "words": list(match.words),
                "examples": match.n_examples,
                "agreement": match.agreement,
                "verified": match.verified,
                "pictures": kept[number],
                "rejected": rejected[number],
            }
            for number, match in enumerate(clone.matches)
        ],
        "marginals": {
            plan.grammar.axis_names[axis]: [
                {
                    "value": value,
                    "wanted": shares[label],
                    "reached": float(planned[axis][label] / max(planned[axis].sum(), 1)),
                    "read": float(read[axis][label] / max(planned[axis].sum(), 1)),
                }
                for label, value in enumerate(plan.grammar.axes[axis].values)
            ]
            for axis, shares in plan.marginals.items()
        },
        "skipped": [why for source in clone.sources for why in source.unreadable],
        "versions": versions(),
    }
    write_durably(clone.out / SUMMARY_FILE, (json.dumps(summary, indent=1) + "\n").encode())
    write_card(clone.out, summary, clone.job.format_name)
    return summary


def _counts(clone: Clone) -> tuple[list[Any], list[Any]]:
    """Return how often each value is in the states and in the readings, axis by axis."""
    sizes = clone.plan.grammar.nvec.tolist()
    planned = [np.zeros(size, np.int64) for size in sizes]
    read = [np.zeros(size, np.int64) for size in sizes]
    for rows in clone.rows():
        for name, counts in (("state", planned), ("read_state", read)):
            labels = np.array([row[name] for row in rows], np.int64).reshape(-1, len(sizes))
            for axis, size in enumerate(sizes):
                known = labels[labels[:, axis] >= 0, axis]
                counts[axis] += np.bincount(known, minlength=size)
    return planned, read
