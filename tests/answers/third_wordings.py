"""Free answers of what the first two sets lack; each part was written before the reader was run on it.

What it still misreads is in `MISREAD_STILL`.
"""

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

FOURTH: dict[str, tuple[tuple[str, str], ...]] = {
    "chatty": (
        (
            "+consolidation",
            "I'd say the main difference is in the left lower zone: what used to be aerated lung is now a consolidation.",
        ),
        (
            "+pneumothorax",
            "Something new is going on at the right apex: a small pneumothorax that I cannot see on the reference.",
        ),
        (
            "<edema, =pleural effusion",
            "Good news regarding the edema, which is better; the effusion, however, is about the same.",
        ),
        ("nothing", "I don't notice any meaningful difference; the two images look practically the same."),
        ("+vascular congestion, +edema", "Two things are new in the main image, namely vascular congestion and edema."),
        (
            "-lung opacity",
            "The opacity I could make out at the left apex in the reference image has disappeared completely.",
        ),
        (
            "=atelectasis, +lung opacity",
            "Atelectasis at the left base is seen in both, but only the main image shows the opacity in the right lung.",
        ),
        (
            ">lung opacity",
            "The opacity in the right lung looks denser and larger to me than it did on the earlier image.",
        ),
        (
            "+pleural effusion",
            "There is a pleural effusion on the main image, while there was none on the reference image.",
        ),
    ),
    "terse": (
        ("=cardiomegaly, +edema", "Cardiomegaly unchanged; edema new."),
        ("-atelectasis, +pleural effusion", "Interval clearing of atelectasis; interval development of effusion."),
        ("<lung opacity, =hernia", "Opacity RLL smaller, hernia same."),
        ("+lung opacity, +pneumonia, =emphysema", "New infiltrate/pneumonia LLL on background of stable emphysema."),
        ("-pneumothorax", "Interval reexpansion of the lung; no residual pneumothorax."),
        ("<pleural effusion", "Small residual effusion, markedly decreased."),
        ("=edema, =pleural effusion, nothing", "Edema, effusions: no change."),
        ("-edema", "Edema: none now (present on prior)."),
    ),
    "struct": (
        ("+edema, -hernia", "Added findings: edema\nMissing findings: hernia"),
        (
            "-pneumonia, =cardiomegaly",
            "| Finding | Previous | Current | Interpretation |\n|---|---|---|---|\n| Pneumonia | Present | Not present | Resolved |\n| Cardiomegaly | Present | Present | Stable |",
        ),
        ("+fracture", '{"differences": ["A new rib fracture is seen on the right."]}'),
        (
            "<atelectasis, =pleural effusion",
            "- **Atelectasis**: Improved compared to the prior.\n- **Pleural effusion**: Remains stable.\n- **Pneumothorax**: Not seen on either image.",
        ),
        (
            "+pneumothorax",
            "### Findings\n**Reference image:** no pneumothorax, normal heart size.\n**Main image:** right-sided pneumothorax, normal heart size.",
        ),
        (
            "=cardiomegaly, >edema",
            "**Stable findings:** cardiomegaly\n**Worsening findings:** pulmonary edema\n**Improved findings:** none",
        ),
        (
            "+consolidation, -pleural effusion",
            '{"Consolidation": {"status": "new", "location": "RLL"}, "Pleural effusion": {"status": "resolved"}}',
        ),
        ("nothing", '{"change": "none"}'),
        ("?pneumonia", '{"finding": "pneumonia", "status": "possible"}'),
        ("+edema", "Q: What changed?\nA: Pulmonary edema is new."),
    ),
    "other": (
        ("-scoliosis, =hernia", "Scoliosis was only visible on the reference image; the hernia is visible on both."),
        ("+edema", "Edema is visible on the main image only."),
        ("=pneumothorax, nothing", "There is no change in the size of the pneumothorax."),
        ("=fracture, nothing", "The known rib fractures are again demonstrated, without change."),
        ("+atelectasis", "Aside from new linear atelectasis on the left, the chest is stable."),
        ("", "There is no pleural effusion or pneumothorax in either image."),
        ("?consolidation, =edema", "Edema persists; superimposed consolidation cannot be excluded."),
        ("<heart failure, -edema", "Heart failure is improving with resolution of edema."),
        ("+pleural effusion", "A pleural effusion, not seen before, has appeared on the left."),
        ("-pneumonia", "Pneumonia, seen before, has cleared."),
        ("abstains", "I need the reference image to answer this question."),
        ("abstains", "The provided image does not allow a comparison."),
        ("+pneumothorax", "This is not a diagnosis: there is a new pneumothorax."),
        (
            "-consolidation",
            "<think>Lower lobe clear now.</think> **The consolidation in the lower lobe has resolved.**",
        ),
        (">pleural effusion, pleural effusion: mild > severe", "The pleural effusion worsened from mild to severe."),
        ("<cardiomegaly", "The heart is less enlarged than before."),
        ("+enlargement of the cardiac silhouette", "The cardiac silhouette is now enlarged."),
        (">enlargement of the cardiac silhouette", "The cardiac silhouette is more enlarged than before."),
    ),
    "instead": (
        (
            "-hernia, +gastric distention",
            "The hernia seen behind the heart in the reference image isn't visible in the main image; instead the stomach is distended.",
        ),
    ),
}

MISREAD_STILL: tuple[tuple[str, str], ...] = (
    (
        "-pleural effusion, -atelectasis",
        "Neither the effusion nor the adjacent atelectasis that I saw on the first image made it to the second one.",
    ),
    (">consolidation", "Consolidation now involving the entire left lung, previously only the base."),
)
"""What should be read of them, and is not."""
