"""Free answers of our own with what they claim, by style; written before the reader was tuned on anything.

Gold: "+f" added, "-f" missing, ">f" worse, "<f" better, "=f" stable, "?f" unsure, "f: a > b" a level, "nothing",
"abstains"; separated by commas; "" claims nothing. Rules: those of the gold set of free answers (R1 to R20).
"""

from __future__ import annotations

# ruff: noqa: E501

WORDINGS: dict[str, tuple[tuple[str, str], ...]] = {
    "terse impression": (
        ("+atelectasis, -edema", "New RML atelectasis. Edema has cleared."),
        (">pleural effusion, =cardiomegaly", "Enlarging R effusion. Cardiomegaly, stable."),
        ("-pneumothorax", "PTX gone."),
        ("<edema", "Interval improvement in pulmonary edema."),
        ("+pneumonia", "Interval development of LUL pneumonia."),
        ("=pleural effusion, =atelectasis, nothing", "Effusion and atelectasis unchanged."),
        ("+pleural effusion, +consolidation", "New bibasilar consolidations and small effusions."),
        ("-consolidation, +pneumothorax", "Consolidation resolved, new apical pneumothorax."),
        (">lung opacity, <vascular congestion", "Opacities progressing, vascular congestion improving."),
        ("+fracture", "Left clavicle fracture, not present previously."),
        ("=hernia, -gastric distention", "Hiatal hernia again seen. Gastric distention no longer evident."),
        ("-lung opacity, =scoliosis", "Resolved: RUL opacity; same: scoliosis."),
    ),
    "chatty paragraph": (
        (
            "+pleural effusion",
            "If I put the two images side by side, the thing that jumps out is fluid at the left base in the main "
            "image, i.e. a pleural effusion, which is nowhere to be seen in the reference.",
        ),
        (
            "-pneumonia, =cardiomegaly",
            "Good news: the pneumonia that occupied the right lower lobe on the earlier X-ray has disappeared. The "
            "heart is enlarged, just as it was.",
        ),
        (
            ">edema, +pleural effusion",
            "The pulmonary edema has gotten worse since the prior study, and I also notice that a pleural effusion "
            "has formed on the right.",
        ),
        (
            "<lung opacity",
            "Taking my time with both films, I would say the hazy opacity in the right lung is now less extensive "
            "than it used to be. I don't see anything else that differs.",
        ),
        (
            "+emphysema",
            "The newer image shows emphysema, something the older image did not show.",
        ),
        (
            "nothing",
            "I have looked at both images closely, and honestly they look identical to me. I can't find any "
            "difference between them.",
        ),
        (
            "-hernia",
            "The main image no longer shows the hiatal hernia which could be seen in the reference image.",
        ),
        (
            "+lung opacity, ?pneumonia",
            "There's a patchy opacity in the left lower lobe that was not there previously. This could represent "
            "pneumonia.",
        ),
        (
            "-pneumothorax, -pleural effusion",
            "Earlier there was a pneumothorax together with a pleural effusion; neither of them is visible in the "
            "current image.",
        ),
        (
            ">cardiomegaly",
            "The heart was already enlarged in the reference image, and now it looks even larger.",
        ),
        (
            "+granuloma, +calcification",
            "In the current film I can make out a granuloma and some calcification. Both are absent from the "
            "previous film.",
        ),
    ),
    "bulleted markdown": (
        (
            "+pneumothorax, -pleural effusion, =cardiomegaly",
            "### Comparison\n- **New:** left pneumothorax\n- **Resolved:** right pleural effusion\n- **Stable:** "
            "cardiomegaly",
        ),
        ("+consolidation, +fracture", "**Added:**\n- consolidation\n- rib fracture\n\n**Removed:**\n- none"),
        ("-consolidation, -fracture", "**Added:**\n- none\n\n**Removed:**\n- consolidation\n- rib fracture"),
        (
            ">pleural effusion, <edema",
            "* **Progressed:** pleural effusion\n* **Regressed:** pulmonary edema\n* **New:** -",
        ),
        (
            "+atelectasis, =pleural effusion",
            "Differences:\n1. Atelectasis at the left base \u2013 new\n2. Pleural effusion \u2013 unchanged",
        ),
        (
            "-edema, =cardiomegaly",
            "- \u274c Pulmonary edema: gone\n- \u2796 Cardiomegaly: same as before\n- No pneumothorax",
        ),
        (
            "=emphysema, nothing",
            "**New findings**\n- None\n\n**Resolved findings**\n- None\n\n**Unchanged**\n- Emphysema",
        ),
        ("?pneumonia, +lung opacity", "**New**\n- opacity, right base\n\n**Uncertain**\n- pneumonia"),
        (
            "+hernia, -hematoma",
            "\u2022 Present only on the current film: hernia\n\u2022 Present only on the prior film: hematoma",
        ),
        (
            "+pleural effusion, -lung opacity",
            "**Prior image**\n- Lungs: opacity in the right upper lobe\n- Pleura: clear\n\n**Current image**\n- Lungs: "
            "clear\n- Pleura: small left effusion",
        ),
        ("+edema", "1. **Lungs**: new interstitial edema\n2. **Heart**: normal in both\n3. **Pleura**: no effusion"),
    ),
    "json": (
        ("+edema, -pneumothorax", '{"appeared": ["edema"], "disappeared": ["pneumothorax"]}'),
        ("+fracture", '```json\n{\n "new": ["rib fracture"],\n "resolved": [],\n "stable": []\n}\n```'),
        (
            "-pleural effusion, =cardiomegaly",
            "{'resolved': ['pleural effusion'], 'unchanged': ['cardiomegaly'], 'new': None}",
        ),
        (
            "+consolidation, >pleural effusion",
            '{"findings": [{"name": "consolidation", "status": "new"}, {"name": "pleural effusion", "status": '
            '"increased"}, {"name": "pneumothorax", "status": "absent"}]}',
        ),
        ("+atelectasis, -hernia", "added:\n  - atelectasis\nremoved:\n  - hernia\nunchanged: []"),
        (
            "+cardiomegaly",
            '{"cardiomegaly": {"reference": "absent", "main": "present"}, "edema": {"reference": "absent", "main": '
            '"absent"}}',
        ),
        (
            "<edema, edema: severe > mild",
            '{"finding": "edema", "prior_level": "severe", "current_level": "mild", "change": "improved"}',
        ),
        ("nothing", '{"changed": false, "new_findings": [], "resolved_findings": []}'),
        ("-lung opacity", '{"comparison": "The opacity at the right base is no longer seen."}'),
        (
            "+pleural effusion",
            'Sure! Here is the JSON:\n```\n{"added": ["pleural effusion"], "removed": [], "note": "AI generated"\n',
        ),
        ("?pneumonia, +consolidation", '{"new": ["consolidation"], "suspected": ["pneumonia"], "resolved": "none"}'),
        ("+edema, +vascular congestion", '{"new": {"edema": "yes", "vascular congestion": "yes", "hernia": "no"}}'),
    ),
    "markdown table": (
        (
            "+pleural effusion, -edema, =cardiomegaly",
            "| Finding | Prior | Current |\n|---|---|---|\n| Pleural effusion | absent | present |\n| Edema | present | "
            "absent |\n| Cardiomegaly | present | present |",
        ),
        (
            "+pneumonia, <atelectasis",
            "| Finding | Status |\n|---|---|\n| Pneumonia | New |\n| Atelectasis | Improved |\n| Fracture | Absent |",
        ),
        (
            ">pleural effusion, pleural effusion: small > moderate",
            "| Finding | Reference image | Main image |\n|:--|:--|:--|\n| Effusion | small | moderate |\n| Edema | none | "
            "none |",
        ),
        ("+hernia, -granuloma", "| Added | Missing |\n|---|---|\n| hernia | granuloma |"),
        (
            "+fracture",
            "<table><tr><th>Finding</th><th>Before</th><th>After</th></tr><tr><td>Fracture</td><td>no</td><td>yes</td>"
            "</tr><tr><td>Hematoma</td><td>no</td><td>no</td></tr></table>",
        ),
        ("+edema, =cardiomegaly", "Finding\tPrior\tCurrent\nEdema\t-\t+\nCardiomegaly\t+\t+"),
        (
            "=emphysema, nothing",
            "| Finding | Change |\n|---|---|\n| Emphysema | No change |\n| Effusion | Not present |",
        ),
        (
            "-lung opacity, +pneumothorax",
            "| # | Observation | Earlier film | Later film |\n|---|---|---|---|\n| 1 | Opacity | \u2714 | \u2718 |\n| 2 | "
            "Pneumothorax | \u2718 | \u2714 |",
        ),
        ("?consolidation", "| Finding | Change |\n|---|---|\n| Consolidation | possibly new |\n| Hernia | none |"),
        (
            "+pleural effusion, +atelectasis",
            "| Category | Findings |\n|---|---|\n| New | effusion, atelectasis |\n| Resolved | none |\n| Unchanged | none |",
        ),
    ),
    "finding by finding": (
        ("+edema, =cardiomegaly", "Effusion: none. Edema: new. Cardiomegaly: unchanged. Pneumothorax: none."),
        (
            "-atelectasis, <pleural effusion",
            "Atelectasis: resolved. Effusion: decreased. Pneumonia: absent. Fracture: absent.",
        ),
        (
            "+consolidation, =pleural effusion",
            "Lungs: consolidation in the left lower lobe, new. Pleura: effusion, unchanged. Heart: normal.",
        ),
        (">pneumothorax", "Pneumothorax: larger than before. Effusion: not seen. Edema: not seen."),
        ("=scoliosis, =calcification, nothing", "Scoliosis: stable. Calcification: stable. Effusion: no. Edema: no."),
        (
            "-pneumothorax, =fracture",
            "Pneumothorax - present before, absent now. Fracture - present before, present now. Hernia - never.",
        ),
        (
            "+pleural effusion, -pneumonia",
            "Effusion: absent then, present now. Pneumonia: present then, absent now. Edema: absent then, absent now.",
        ),
        ("?atelectasis", "Pneumothorax: no. Atelectasis: questionable. Edema: no."),
        ("-edema", "HEART: normal. LUNGS: edema has resolved. PLEURA: no effusion. BONES: intact."),
        (">cardiomegaly, =hernia", "Cardiomegaly: yes, increased. Hernia: yes, unchanged. Effusion: no. PTX: no."),
    ),
    "prior as subject": (
        ("-pleural effusion", "The prior film showed a pleural effusion that is not seen on the current film."),
        ("+pleural effusion", "The prior film did not show the pleural effusion that is seen on the current film."),
        ("+lung opacity", "The previous study was clear; there is now an opacity in the right lung."),
        ("-cardiomegaly, =edema", "The earlier image showed cardiomegaly and edema, of which only the edema remains."),
        ("-edema, -atelectasis", "Only the reference image shows edema and atelectasis."),
        ("+edema, +atelectasis", "The reference image shows neither the edema nor the atelectasis of the main image."),
        ("<pneumothorax", "The pneumothorax was bigger on the previous radiograph."),
        ("+fracture, -hematoma", "Prior: hematoma, no fracture. Current: fracture, no hematoma."),
        (
            ">pleural effusion, pleural effusion: small > moderate",
            "On the prior the effusion was small; on the current film it is moderate.",
        ),
        ("-consolidation", "A consolidation was seen in the reference image. It has since resolved."),
        ("", "The earlier image shows a hiatal hernia and an old granuloma."),
    ),
    "course without levels": (
        (">pleural effusion", "The left effusion has gotten bigger."),
        ("<pleural effusion", "The left effusion has gotten smaller."),
        (">consolidation, <edema", "The consolidation is more extensive, while the edema is less pronounced."),
        ("<pneumonia", "Pneumonia is clearing."),
        (">lung opacity", "Progression of the bilateral opacities."),
        ("<atelectasis, <pleural effusion", "Both the atelectasis and the effusion have diminished."),
        (">vascular congestion", "Vascular congestion is more prominent than on the earlier study."),
        ("<pneumothorax", "The pneumothorax has almost completely resolved."),
        ("=consolidation, >pleural effusion", "The consolidation persists and the effusion has increased."),
        (">cardiomegaly", "The enlarged heart has become larger still."),
        ("<lung opacity", "There has been a decrease in the opacity in the right upper lobe."),
        ("<edema, =cardiomegaly", "Less edema. Unaltered cardiomegaly."),
    ),
    "course with levels": (
        (">edema, edema: mild > severe", "Edema has progressed from mild to severe."),
        ("<edema, edema: severe > mild", "Edema has regressed from severe to mild."),
        (">pleural effusion, pleural effusion: small > large", "The effusion, previously small, is now large."),
        ("<pleural effusion, pleural effusion: large > small", "Previously large effusion, now small."),
        (
            "<atelectasis, atelectasis: moderate > minimal",
            "Atelectasis is now minimal, compared with moderate on the prior film.",
        ),
        (">cardiomegaly, cardiomegaly: mild > moderate", "Cardiomegaly: mild before, moderate now."),
        ("<pneumothorax, pneumothorax: moderate > small", "Pneumothorax went from moderate to small."),
        ("=edema, nothing", "Mild edema before, mild edema now."),
        ("<edema", "The edema has improved and is now mild."),
        (">pneumothorax, pneumothorax: small > moderate", "Pneumothorax is moderate, up from small."),
        (
            ">pleural effusion, pleural effusion: minimal > moderate, =atelectasis",
            "The effusion was minimal on the reference image and is moderate on the main image. Atelectasis is stable.",
        ),
    ),
    "negation": (
        ("", "No new pneumothorax or consolidation."),
        ("", "There is no effusion, no edema and no pneumonia."),
        ("=edema, nothing", "The edema has not improved."),
        ("=pneumothorax, nothing", "The pneumothorax has not resolved."),
        ("-pleural effusion", "There is no longer any pleural effusion."),
        ("-pneumothorax", "No residual pneumothorax is seen."),
        ("+atelectasis", "New atelectasis, but no effusion."),
        ("+pleural effusion, +edema", "Not only a new effusion but also new edema."),
        ("=atelectasis, nothing", "No change in the atelectasis."),
        ("=consolidation, nothing", "The consolidation is neither better nor worse."),
        ("-lung opacity", "The opacity cannot be seen anymore."),
        ("=fracture, nothing", "The fracture is not new."),
    ),
    "hedged": (
        ("?pneumonia", "Possible new pneumonia in the right lower lobe."),
        ("?pneumothorax", "A small new apical pneumothorax cannot be excluded."),
        ("+lung opacity, ?atelectasis, ?pneumonia", "New left basal opacity, atelectasis versus pneumonia."),
        ("+consolidation, ?pneumonia", "New consolidation, concerning for pneumonia."),
        ("?edema", "The edema has probably worsened."),
        ("?pleural effusion", "There might be a new small effusion on the left."),
        ("+pleural effusion, +atelectasis", "A new effusion appears to be present, with adjacent atelectasis."),
        ("?fracture", "Questionable new rib fracture."),
        ("-edema, ?atelectasis", "Edema has resolved; residual density may reflect atelectasis."),
        ("?pneumothorax, =pleural effusion", "Effusion unchanged. Suspected pneumothorax at the apex."),
        ("+lung opacity, +pneumonia", "New opacity in keeping with pneumonia."),
    ),
    "no change": (
        ("nothing", "No interval change."),
        ("nothing", "No significant change from prior."),
        ("nothing", "The two images are essentially identical."),
        ("nothing", "There is no difference between the main image and the reference image."),
        ("nothing", "Stable appearance of the chest."),
        ("nothing", "Unchanged."),
        ("nothing", "I cannot see any difference."),
        ("=pleural effusion, =cardiomegaly, nothing", "No change. Effusion and cardiomegaly persist."),
        ("+pneumothorax", "No change except for a new pneumothorax."),
        (">pleural effusion", "Overall stable, though the effusion is slightly larger."),
        ("-atelectasis", "Unchanged apart from resolution of the atelectasis."),
        ("=emphysema, nothing", "Stable emphysema; no new findings."),
        ("nothing", "Both radiographs look alike."),
        ("nothing", "Everything is as it was."),
    ),
    "reasoning then answer": (
        (
            "+consolidation",
            "<think>The reference looks clear. The right base is denser in the main image. Effusion? No meniscus.</think>"
            "New consolidation in the right lower lobe.",
        ),
        (
            "nothing",
            "<think>Perhaps a new effusion? No, that is the breast shadow.</think>\n\nNothing has changed.",
        ),
        (
            "-edema",
            "Step 1: edema in the reference. Step 2: lungs clear in the main image. Final answer: the edema has resolved.",
        ),
        ("", "<think>The main image shows a new effusion, and maybe edema, let me check the"),
        (
            "+pneumothorax, =cardiomegaly",
            "Reasoning: there is a pleural line at the apex; could be a skin fold.\nAnswer: new pneumothorax; cardiomegaly unchanged.",
        ),
        (
            "-pleural effusion",
            "Let me think. Was there an effusion? Yes.\n\n**Final Answer:** the pleural effusion is gone.",
        ),
        ("+edema", '{"thoughts": "maybe pneumonia, but symmetric", "answer": "new edema"}'),
        (">atelectasis", "<thinking>Effusion is excluded.</thinking><answer>Atelectasis has worsened.</answer>"),
        ("+hernia", "So the retrocardiac shadow is a hernia or a mass.\n\n\\boxed{new hiatal hernia}"),
        (
            "<lung opacity",
            "Conclusion first fails: I thought the opacity was gone. Final answer: the opacity has decreased.",
        ),
    ),
    "abstention or disclaimer": (
        ("abstains", "I cannot compare these images."),
        ("abstains", "I'm sorry, but I can't assist with that."),
        ("abstains", "There is no reference image, so a comparison is not possible."),
        ("abstains", "As an AI, I am not able to interpret medical images."),
        ("abstains", "It is not possible to determine whether anything has changed."),
        ("abstains", "Only one image was provided."),
        ("+pleural effusion", "I am not a doctor, but there is a new pleural effusion."),
        ("-edema", "Disclaimer: this is not medical advice. The edema has resolved."),
        ("nothing", "I'm not a radiologist; as far as I can see, nothing has changed."),
        ("?pneumothorax", "I can't tell whether the pneumothorax is new."),
        ("abstains", "Please provide both images so that I can compare them."),
        ("abstains", "The quality of the prior is too poor for a comparison."),
        ("abstains", "I don't know."),
    ),
    "damaged template": (
        ("+pleural effusion", "the main image has an additional finding of pleural effusoin than the reference image"),
        ("-edema, -atelectasis", "main image is missing findings of edema, atelectasis"),
        ("+edema", "the main image has additional finding of edema than the the reference image."),
        (
            "+hernia, -fracture",
            "the main image has an additional finding of hernia, is missing the finding of fracture than the reference image.",
        ),
        ("nothing", "nothing changed."),
        ("nothing", "nothing has changed nothing has changed"),
        ("-pneumothorax", "the reference image has an additional finding of pneumothorax than the main image."),
        (
            ">pleural effusion, pleural effusion: small > moderate",
            "level of pleural effusion changed from small to moderate.",
        ),
        ("+edema", "the main image has additional findings of edema, and pneumo"),
        (
            "+consolidation, +edema",
            "The main image has additional findings of Consolidation and Edema compared to the reference image!",
        ),
        ("", "the main image has an additional finding"),
    ),
    "long report": (
        (
            "+pleural effusion, <consolidation, =cardiomegaly",
            "TECHNIQUE: AP portable. COMPARISON: yesterday. FINDINGS: The tracheostomy tube is in place. The right lower "
            "lobe consolidation has improved. A small left effusion is new. The heart is still enlarged. There is no "
            "pneumothorax. IMPRESSION: Improving consolidation, new effusion.",
        ),
        (
            "-pneumothorax, =fracture",
            "The right chest tube remains in place. The previously seen pneumothorax is no longer identified. Multiple "
            "right rib fractures are again noted. No effusion. The heart size is normal. The visualised bones are "
            "otherwise unremarkable.",
        ),
        (
            ">edema, +vascular congestion",
            "Compared with the prior exam, there has been worsening of the interstitial edema with new vascular "
            "congestion. The lung volumes are low. The right IJ line terminates in the SVC. No focal consolidation. No "
            "pneumothorax.",
        ),
        (
            "nothing",
            "The endotracheal tube has been removed. Lungs remain clear. Cardiac and mediastinal contours are stable. No "
            "effusion or pneumothorax. Otherwise, there is no change compared with the previous radiograph.",
        ),
        (
            "+atelectasis, -lung opacity, =tortuosity of the thoracic aorta",
            "History: cough. The left upper lobe opacity seen earlier has cleared. Linear atelectasis has developed at the "
            "right base. The thoracic aorta is tortuous, unchanged. Degenerative changes of the spine. No pneumothorax.",
        ),
        (
            "=pleural effusion, =cardiomegaly, =edema, nothing",
            "Lines and tubes are unchanged. Moderate cardiomegaly, mild edema and small bilateral effusions are stable. No "
            "new consolidation. No pneumothorax.",
        ),
    ),
}
"""Style -> (gold, answer)."""
