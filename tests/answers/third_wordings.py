"""A third set of free answers, of what the first two lack; written before the reader was run on them."""

from __future__ import annotations

# ruff: noqa: E501

THIRD: dict[str, tuple[tuple[str, str], ...]] = {
    "chatty": (
        (
            "+lung opacity",
            "Hmm, if I look at the lower right corner of the lung in the newer picture there's a smudge, an opacity, which I can't find in the older one.",
        ),
        (
            "-edema, =pleural effusion",
            "The fluffy edema around the hila has gone away, though the effusion at the left base hasn't changed.",
        ),
        (
            ">pleural effusion, +atelectasis",
            "Compared with last time, the effusion is clearly bigger and has brought some new atelectasis with it.",
        ),
        (
            "=cardiomegaly, nothing",
            "The heart is as big as before (cardiomegaly), and I see nothing else that would be different.",
        ),
        ("+fracture", "There is a fracture of the left clavicle that must have happened since the prior study."),
        ("<consolidation", "What was a dense consolidation has become patchy and less extensive."),
        (
            "+edema, =cardiomegaly",
            "Pulmonary edema has come on since the reference image, whereas the cardiomegaly is an old finding.",
        ),
    ),
    "prior": (
        (
            "+pleural effusion",
            "On the reference, both costophrenic angles are sharp; on the main image there is a left effusion.",
        ),
        ("-pneumothorax", "A pneumothorax was present on the prior and is not present on the current."),
        ("+pneumothorax", "A pneumothorax is present on the current and was not present on the prior."),
        ("-atelectasis, +edema", "Before: atelectasis. After: edema."),
        ("<edema", "Edema was more severe on the previous image."),
        (">cardiomegaly", "The cardiomegaly was less marked in the earlier study."),
        ("-fracture", "The fracture can only be seen in the earlier image."),
        ("=granuloma, -consolidation", "The prior showed a granuloma and a consolidation; only the granuloma is left."),
        ("+hernia", "The main image has a hernia, the reference image does not."),
        ("-hernia", "The reference image has a hernia, the main image does not."),
    ),
    "course": (
        (">edema", "Edema: worse than before."),
        ("<lung opacity, >pleural effusion", "Opacities are improving but the effusions are increasing."),
        ("=atelectasis, nothing", "Atelectasis has neither progressed nor regressed."),
        ("<pleural effusion, pleural effusion: moderate > small", "Moderate effusion has decreased to small."),
        (
            ">pleural effusion, pleural effusion: small > moderate",
            "Effusion, small on the prior study, moderate today.",
        ),
    ),
    "neg": (
        ("-consolidation", "The previously described consolidation is not identified on the current examination."),
        ("", "No pneumothorax has developed."),
        ("+pneumonia", "No effusion, but a new pneumonia."),
        ("=edema, nothing", "No interval improvement of the edema."),
        ("=pleural effusion, nothing", "The effusion has not resolved."),
        ("-pleural effusion", "The effusion is absent now."),
        ("-edema, =pleural effusion", "Edema is no longer present; effusion still is."),
    ),
    "hedge": (
        ("?lung opacity", "There appears to be a possible new opacity."),
        ("?pneumonia, =lung opacity", "The opacity is unchanged and may represent pneumonia."),
        ("?pneumothorax", "Whether there is a small pneumothorax is unclear."),
        ("+consolidation, ?pneumonia", "New consolidation, likely pneumonia."),
        ("?edema", "It is unclear whether the edema is new."),
    ),
    "nochange": (
        ("nothing", "The appearance of the chest has not changed."),
        ("nothing", "I see no differences between the images."),
        ("nothing", "There is no evidence of any change."),
        ("nothing", "The findings are stable."),
        ("nothing", "The radiographs are the same."),
        ("+edema", "There is no change other than new edema."),
        ("<pleural effusion", "No change, apart from a smaller effusion."),
    ),
    "list": (
        (
            "+pleural effusion, =edema",
            "Findings:\n- Pleural effusion: present (new)\n- Edema: present (unchanged)\n- Pneumothorax: absent",
        ),
        ("-consolidation", "* Consolidation: present -> absent\n* Effusion: absent -> absent"),
        ("+consolidation", "* Consolidation: absent -> present\n* Effusion: absent -> absent"),
        (
            "+pneumonia, >pleural effusion",
            "## New\n1. Pneumonia (RLL)\n\n## Worsened\n1. Pleural effusion (L)\n\n## Resolved\nNone",
        ),
        ("=edema, nothing", "New: none. Resolved: none. Unchanged: edema."),
        ("+edema", '{"added_findings": [{"name": "edema", "location": "bilateral"}], "removed_findings": []}'),
        ("-edema", '{"changes": [{"finding": "edema", "reference": "present", "main": "absent"}]}'),
        (">pleural effusion", '{"pleural effusion": "increased", "edema": null}'),
        ("+edema", "- finding: edema\n  change: new\n- finding: hernia\n  change: absent"),
    ),
    "report": (
        (
            "+pneumothorax, =pleural effusion",
            "FINDINGS: Interval placement of a right chest tube. There is a new small right apical pneumothorax. The right effusion is similar to prior. IMPRESSION: New right pneumothorax after chest tube placement.",
        ),
        (
            "<edema, <pleural effusion, =cardiomegaly",
            "Compared to yesterday, the edema has improved with decreased bilateral effusions. The cardiac silhouette is stable. Stable cardiomegaly. Lines and tubes in standard position.",
        ),
        (
            "+lung opacity, ?pneumonia",
            "In comparison with the study of one day prior, there is new opacification at the right base. In the appropriate clinical setting, this could reflect pneumonia. No pneumothorax.",
        ),
    ),
    "refuse": (
        ("abstains", "I cannot determine from these images what has changed."),
        ("abstains", "Unfortunately, I can't see any images."),
        ("abstains", "No comparison is possible."),
        ("-edema", "While I am not a medical professional, the edema seems to have resolved."),
    ),
}
"""Style -> (gold, answer)."""
