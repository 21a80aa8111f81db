"""More free answers with what they claim, written after the reader was first tuned and before it was run on them."""

from __future__ import annotations

# ruff: noqa: E501

FURTHER: dict[str, tuple[tuple[str, str], ...]] = {
    "terse impression": (
        ("-pleural effusion, >atelectasis", "R effusion drained, now resolved. LLL atelectasis worse."),
        ("+pneumomediastinum", "Pneumomediastinum, new since yesterday."),
        ("=edema, =pleural effusion, nothing", "Pulmonary edema and bilateral effusions without significant change."),
        ("<pneumothorax, +consolidation", "Decreased left PTX; developing RML consolidation."),
        ("-consolidation", "LUL consolidation has fully cleared."),
        (">heart failure", "CHF, progressed."),
        ("=pneumothorax, nothing", "Tiny apical pneumothorax, unchanged in size."),
        ("+fracture, =calcification", "Interval fracture of the right 5th rib. Aortic calcifications, stable."),
        ("<pneumonia, =cardiomegaly", "Improving RUL pneumonia, cardiomegaly unchanged."),
    ),
    "chatty paragraph": (
        (
            "+consolidation, =cardiomegaly",
            "So, what stands out to me is a dense area in the right middle lobe that I would call a consolidation. It was "
            "not visible on the reference image. Cardiomegaly is present on both images.",
        ),
        (
            "-lung opacity, +pleural effusion",
            "While the hazy opacity that I can see in the left lung of the reference image is gone in the main image, the "
            "main image now has fluid on the right, i.e. a new effusion.",
        ),
        (
            "nothing",
            "After going through the lungs, the heart and the bones in both images, I am unable to spot a difference.",
        ),
        (
            "<pleural effusion, <edema",
            "The picture is improving: there is less fluid around the lungs (smaller effusions) and the edema has "
            "partially resolved.",
        ),
        (
            "-cardiomegaly",
            "In the first study the heart was enlarged. In the current study it has returned to normal size.",
        ),
        (
            "+hilar congestion, =emphysema",
            "Hilar congestion is seen for the first time on the main image. The emphysema is nothing new.",
        ),
        (
            "-fracture",
            "The rib fracture, which could be clearly identified on the previous radiograph, can no longer be seen.",
        ),
        (
            "+pneumothorax, +atelectasis",
            "The current image reveals a pneumothorax on the left as well as atelectasis of the lower lobe, neither of "
            "which was present on the reference image.",
        ),
    ),
    "bulleted markdown": (
        (
            "+consolidation, -atelectasis, =pleural effusion",
            "**Changes:**\n- Appeared: right lower lobe consolidation\n- Cleared: left basal atelectasis\n- No change: "
            "small effusion",
        ),
        (
            "<edema, >pleural effusion, +pneumothorax",
            "1. Edema \u2192 improved\n2. Effusion \u2192 increased\n3. Pneumothorax \u2192 new",
        ),
        (
            "=cardiomegaly, =edema, nothing",
            "- Cardiomegaly: persistent\n- Edema: persistent\n- Pneumothorax: none\n- Fracture: none",
        ),
        (
            "+gastric distention, -hernia",
            "### Newly seen\n* gastric distention\n### No longer seen\n* hiatal hernia\n### Unchanged\n* (none)",
        ),
        (
            "+lung opacity",
            "- Lungs: an opacity has developed in the right upper zone\n- Heart: unchanged\n- Bones: unchanged",
        ),
        ("?pleural effusion, =atelectasis", "* Atelectasis \u2013 stable\n* Pleural effusion \u2013 possibly new"),
        (
            "-pneumonia, =emphysema",
            "**Reference image:** pneumonia of the left lower lobe, emphysema\n**Main image:** emphysema, no pneumonia",
        ),
    ),
    "json": (
        (
            "+pneumothorax, =fracture",
            '{"interval_change": {"new": ["pneumothorax"], "resolved": [], "stable": ["rib fracture"]}}',
        ),
        (
            "-edema, <pleural effusion",
            '{"edema": "resolved", "pleural effusion": "decreased", "pneumonia": "not seen"}',
        ),
        (
            "+cardiomegaly, -consolidation",
            '[{"finding": "cardiomegaly", "change": "new"}, {"finding": "consolidation", "change": "resolved"}]',
        ),
        (">edema, edema: mild > moderate", '{"edema": {"before": "mild", "after": "moderate"}}'),
        ("nothing", '{"new": [], "resolved": [], "worsened": [], "improved": []}'),
        ("+pneumonia", '{"summary": "New pneumonia in the left lower lobe.", "confidence": 0.8}'),
        ("+hernia, +scoliosis", "new: hernia, scoliosis\nresolved: none\nunchanged: none"),
        (
            "=cardiomegaly, -pneumothorax",
            "{'Pneumothorax': {'reference': True, 'main': False}, 'Cardiomegaly': {'reference': True, 'main': True}}",
        ),
    ),
    "markdown table": (
        (
            "+consolidation, =atelectasis",
            "| | Reference | Main |\n|---|---|---|\n| Consolidation | \u2013 | + |\n| Atelectasis | + | + |\n| Edema | \u2013 | \u2013 |",
        ),
        (
            "<edema, >atelectasis",
            "| Finding | Trend |\n|---|---|\n| Edema | \u2193 improved |\n| Atelectasis | \u2191 worsened |",
        ),
        (
            "-pneumonia, +granuloma",
            "Finding | Prior | Current\n---|---|---\nPneumonia | yes | no\nGranuloma | no | yes",
        ),
        (
            "+fracture, =calcification",
            "| Status | Finding |\n|---|---|\n| New | rib fracture |\n| Stable | calcification |",
        ),
        (
            "<pleural effusion, pleural effusion: moderate > small",
            "| Finding | Baseline | Follow-up |\n|---|---|---|\n| Pleural effusion | moderate | small |\n| Pneumothorax | none | none |",
        ),
        ("?hernia", "| Finding | Change |\n|---|---|\n| Hernia | may be new |\n| Edema | absent on both |"),
    ),
    "finding by finding": (
        ("+pleural effusion, =edema", "1) Effusion - newly appeared. 2) Edema - no change. 3) PTX - absent."),
        ("-contusion, =fracture", "Contusion: was seen, now gone. Fracture: seen, same as before. Hematoma: not seen."),
        (">cardiomegaly", "Heart: cardiomegaly, increased since the prior. Lungs: clear. Pleura: clear."),
        ("+edema, +pleural effusion", "Edema? Yes, new. Effusion? Yes, new. Pneumothorax? No."),
        (
            "=hernia, nothing",
            "Hernia: present on both images. Effusion: absent on both images. Edema: absent on both images.",
        ),
        ("-air collection", "Air collection: only in the reference. Pneumonia: in neither."),
    ),
    "prior as subject": (
        ("-edema", "In the prior there was edema, in the current one there is none."),
        ("+pneumonia", "There was no pneumonia on the prior film; there is one now."),
        (
            "-consolidation, =pleural effusion",
            "The previous film demonstrated consolidation and effusion; the effusion persists but the consolidation has resolved.",
        ),
        (">lung opacity", "The opacity was less extensive on the earlier film."),
        ("-calcification", "The reference image contains a calcification which is missing from the main image."),
        ("+vascular congestion", "The vessels were normal on the prior and are now congested."),
        ("-pneumothorax", "The pneumothorax of the reference image has resolved."),
        ("+hematoma", "The earlier film is without the hematoma that the later one shows."),
    ),
    "course without levels": (
        (">edema, >pleural effusion", "Worsening edema and effusions."),
        ("<consolidation", "The right lower lobe consolidation appears less dense."),
        (">pneumothorax", "The left pneumothorax has increased in size."),
        ("<heart failure", "Heart failure has improved under treatment."),
        (">scoliosis", "Scoliosis has progressed."),
        ("<lung opacity, =pleural effusion", "Right-sided opacities have decreased, effusion is stable."),
        ("<pleural effusion", "The effusion has almost resolved."),
        (">pleural effusion, =pneumothorax", "The effusion is bigger and the pneumothorax is the same."),
    ),
    "course with levels": (
        (">pneumothorax, pneumothorax: small > large", "The pneumothorax has enlarged from small to large."),
        ("<cardiomegaly, cardiomegaly: severe > moderate", "Cardiomegaly is moderate now and was severe before."),
        (">atelectasis, atelectasis: mild > severe", "Atelectasis: from mild to severe."),
        ("<edema, edema: moderate > mild", "Moderate edema on the prior is now mild."),
        (
            ">pleural effusion, pleural effusion: small > moderate",
            "What was a small effusion is now a moderate effusion.",
        ),
        ("=pneumothorax, nothing", "The pneumothorax remains small."),
        (
            "<pleural effusion, pleural effusion: large > moderate",
            "The effusion is smaller (large on the prior, moderate on the current).",
        ),
    ),
    "negation": (
        ("", "No evidence of new edema or effusion."),
        ("-effusion".replace("effusion", "pleural effusion"), "The effusion is not seen any more."),
        ("=atelectasis, nothing", "The atelectasis has neither improved nor worsened."),
        ("+edema", "There is no new effusion, but there is new edema."),
        ("=pneumonia, nothing", "The pneumonia hasn't cleared yet."),
        ("", "Neither a pneumothorax nor an effusion has developed."),
        ("-edema, -pleural effusion", "Neither the edema nor the effusion is visible anymore."),
        ("=cardiomegaly, nothing", "The cardiomegaly has not changed."),
    ),
    "hedged": (
        ("?consolidation", "A new consolidation is suspected at the left base."),
        ("+lung opacity, ?pneumonia", "There is a new opacity which may be pneumonia."),
        ("?pleural effusion", "The effusion may have slightly increased."),
        ("?edema, =cardiomegaly", "Cardiomegaly is stable. Mild edema cannot be ruled out."),
        ("?atelectasis, ?pneumonia", "Atelectasis or pneumonia has developed at the right base."),
        ("?pneumothorax", "I think there might be a pneumothorax, but I'm not certain."),
        ("-pneumothorax, ?pleural effusion", "The pneumothorax has resolved; there is perhaps a small effusion."),
    ),
    "no change": (
        ("nothing", "No changes were detected between the two radiographs."),
        ("nothing", "There has been no interval change."),
        ("nothing", "The chest appears unchanged."),
        ("nothing", "Both images show the same findings."),
        ("nothing", "I do not find any new or resolved abnormality."),
        ("nothing", "No relevant difference to the previous examination."),
        ("-pleural effusion", "Unchanged, except that the effusion is no longer visible."),
        ("+edema, =cardiomegaly", "Stable cardiomegaly. Otherwise unchanged apart from new edema."),
        ("=atelectasis, nothing", "Atelectasis as before. Nothing new."),
    ),
    "reasoning then answer": (
        (
            "+pleural effusion",
            "<think>Could be atelectasis. No, the meniscus speaks for fluid.</think>\n\nThere is a new pleural effusion.",
        ),
        ("-pneumonia", "Thinking: the opacity was pneumonia.\nFinal answer: Pneumonia has resolved."),
        ("nothing", "First, the lungs: clear in both. Second, the heart: normal in both.\n\nAnswer: No change."),
        (
            "+atelectasis, <edema",
            "<reasoning>edema less, band new</reasoning> The edema has improved and there is new atelectasis.",
        ),
        (
            "=hernia, nothing",
            "**Reasoning:** retrocardiac lucency in both.\n**Answer:** The hiatal hernia is unchanged.",
        ),
    ),
    "abstention or disclaimer": (
        ("abstains", "I'm unable to view images, so I can't say what has changed."),
        ("abstains", "A comparison cannot be made since only a single radiograph was provided."),
        ("abstains", "I would recommend that a radiologist reviews these images; I can't provide an interpretation."),
        ("-pneumothorax", "I am only an AI model, but the pneumothorax appears to have resolved."),
        ("abstains", "Not possible to assess change without the prior study."),
        ("abstains", "The images are too blurry to tell what has changed."),
        ("+edema, ?pneumonia", "There is new edema. I cannot determine whether there is also pneumonia."),
    ),
    "damaged template": (
        ("+pneumonia, +edema", "the main image has additional findings of pneumonia and edema"),
        ("-granuloma", "the main image is missing the finding of granulom than the reference image."),
        ("+cardiomegaly", "main image has an additional finding of cardiomegaly than reference."),
        (
            "+edema, -hernia",
            "the main image has an additional finding of edema. the main image is missing the finding of hernia. the main image",
        ),
        (">edema, edema: mild > moderate", "the level of edema has changed from mild to moderate"),
        ("nothing", "nothing has changed !"),
        ("-edema", "the reference image has the additional finding of edema than the main image."),
    ),
    "long report": (
        (
            "-edema, =cardiomegaly, +atelectasis",
            "CHEST RADIOGRAPH. COMPARISON: two days ago. FINDINGS: Interval resolution of the pulmonary edema. "
            "Cardiomegaly is again noted. New plate-like atelectasis at the left base. No pneumothorax. The PICC is "
            "unchanged. IMPRESSION: Resolved edema. New left basal atelectasis.",
        ),
        (
            ">pleural effusion, =consolidation",
            "AP chest. The right internal jugular catheter has been removed. The left effusion is larger than on the prior "
            "study. The right lower lobe consolidation is not significantly changed. The heart is not enlarged. There is "
            "no pneumothorax.",
        ),
        (
            "nothing",
            "The nasogastric tube has been repositioned. No focal consolidation, effusion or pneumothorax. Heart size is "
            "normal. No interval change in the lungs.",
        ),
        (
            "+pneumothorax, <pleural effusion",
            "Following thoracentesis, the right effusion is smaller. A small right apical pneumothorax has appeared. The "
            "left lung is clear. Mediastinal contours are normal. Results were called to the team.",
        ),
    ),
}
"""Style -> (gold, answer)."""
