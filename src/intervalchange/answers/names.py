"""What findings, other abnormalities, devices and parts of the chest are called: one table, no logic."""

from __future__ import annotations

from types import MappingProxyType

NAMES: MappingProxyType[str, str] = MappingProxyType(
    {
        "pleural effusion": """
            pleural effusion/effusions/fluid, effusion, effusions, fluid, hydrothorax, haemothorax, hemothorax
            parapneumonic effusion/effusions, pleural collection/collections, fluid in both pleural spaces
            some fluid, pleural liquid, bit of fluid, fluid in the pleural space, pleural fluid collection
            subpulmonic effusion, layering fluid, pleural effusion/effusions fluid
        """,
        "atelectasis": """
            atelectasis, atelectases, atelectatic, atelectatic change/changes/band/bands, volume loss, collapse
            collapsed, lobar collapse, lung collapse, lobe collapse, collapsed lobe/lung, subsegmental collapse
            loss of volume, atelectatic opacity, plate atelectasis
        """,
        "cardiomegaly": """
            cardiomegaly, enlarged heart, cardiac enlargement, heart enlargement, enlargement of the heart
            big heart, large heart, bigger heart cardiomegaly, heart shadow enlargement, dilated heart
            hearts enlarged, globular heart, biventricular enlargement
        """,
        "enlargement of the cardiac silhouette": """
            enlargement of the cardiac silhouette, enlarged cardiac silhouette, cardiac silhouette enlargement
            enlarged cardiomediastinal silhouette, enlarged heart shadow, widened heart shadow
            enlarged silhouette, enlargement of cardiac silhouette, enlarged cardiac shadow
            enlarged cardiac contour
        """,
        "edema": """
            edema, pulmonary edema, oedema, pulmonary oedema, interstitial edema/oedema, alveolar edema/oedema
            flash edema/oedema, pulmonary edema pattern, oedematous, edematous, lung water, lung edema
            interstitial pulmonary edema/oedema, alveolar pulmonary edema/oedema
        """,
        "hernia": "hernia, hernias, hiatal hernia, hiatus hernia, diaphragmatic hernia, intrathoracic stomach",
        "vascular congestion": """
            vascular congestion, pulmonary vascular congestion, pulmonary congestion
            pulmonary venous congestion, congestion, venous congestion, vascular engorgement, vascular plethora
            cephalization, cephalisation, upper lobe diversion, congested vessels, congested pulmonary vessels
            congested vasculature, engorged vessels, vessel engorgement, congestive change/changes
            engorgement of the pulmonary vessels/vasculature, pulmonary vascular engorgement
            congested pulmonary vasculature, central vascular congestion, upper zone diversion
            pulmonary plethora
        """,
        "hilar congestion": """
            hilar congestion, hilar engorgement, congested hila, engorged hila, congestion of the hila
        """,
        "pneumothorax": """
            pneumothorax, pneumothoraces, ptx, pneumo, pleural air, hydropneumothorax, apical air
            pneumothorax line, tension pneumothorax, collapsed lung with air
        """,
        "heart failure": """
            heart failure, congestive heart failure, cardiac decompensation, chf, cardiac failure
            decompensated heart failure, lvf, failure, left ventricular failure, cardiac insufficiency
            heart failure pattern
        """,
        "lung opacity": """
            lung opacity, lung opacities, lung opacification, airspace opacity/opacities, opacification, opacity
            opacities, air space opacity/opacities, infiltrate, infiltrates, infiltration, infiltrations
            airspace disease, air space disease, air space shadowing, airspace shadowing, shadowing
            ground glass change/changes, haziness, whiteout, white out, density, densities, ground glass
            airspace process, opacifications, haze, ggo, pulmonary opacity/opacities
            parenchymal opacity/opacities, hazy area, opacified area, airspace opacification
            air space opacification, airspace change/changes, opaque area, ground glass opacity/opacities
        """,
        "pneumonia": """
            pneumonia, pneumonias, infection, infectious process, bronchopneumonia, aspiration pneumonia
            infective process, infectious infiltrate, pneumonic infiltrate, pneumonic process, pneumonic focus
            infective change/changes, pna
        """,
        "tortuosity of the descending aorta": """
            tortuosity of the descending aorta, tortuous descending aorta, tortuosity of descending aorta
            tortuous descending thoracic aorta, tortuous descending course, unfolded descending aorta
            descending aortic tortuosity, descending aorta tortuosity
        """,
        "scoliosis": """
            scoliosis, scoliotic, thoracolumbar scoliosis, scoliotic curvature, dextroscoliosis, levoscoliosis
        """,
        "gastric distention": """
            gastric distention, gastric distension, distended stomach, dilated gastric bubble
            stomach distension/distention, distension/distention of the stomach, distended gastric bubble
            gaseous distension/distention of the stomach, overdistended stomach, gastric dilatation
            gastric overdistension
        """,
        "hypoxemia": "hypoxemia, hypoxaemia, hypoxia, desaturation",
        "hypertensive heart disease": "hypertensive heart disease, htn, hypertensive cardiac disease",
        "hematoma": "hematoma, hematomas, haematoma, haematomas, chest wall hematoma",
        "tortuosity of the thoracic aorta": """
            tortuosity of the thoracic aorta, tortuosity of thoracic aorta, tortuous thoracic aorta
            tortuous aorta, aortic tortuosity, unfolded aorta, unfolding of the aorta, tortuosity of the aorta
            unfolding of the thoracic aorta, thoracic aortic tortuosity, ectatic aorta, aortic unfolding
        """,
        "contusion": """
            contusion, contusions, pulmonary contusion, lung contusion, contused lung, pulmonary contusions
        """,
        "emphysema": """
            emphysema, emphysematous change/changes, bullous emphysema, emphysematous, centrilobular emphysema
            pulmonary emphysema
        """,
        "granuloma": """
            granuloma, granulomas, granulomata, calcified granuloma, calcified granulomas, granulomatous disease
            calcified granulomata
        """,
        "calcification": """
            calcification, calcifications, calcified aortic knob, atherosclerotic calcification
            aortic calcification, calcified plaque, aortic calcifications, calcified aorta, calcified plaques
            atherosclerotic calcifications, calcific change/changes, calcified aortic arch, calcified nodes
            calcified lymph nodes
        """,
        "pleural thickening": """
            pleural thickening, thickened pleura, apical capping, pleural scarring, thickening of the pleura
            apical cap, pleural thickenings, apical pleural thickening
        """,
        "thymoma": "thymoma, thymomas",
        "blunting of the costophrenic angle": """
            blunting of the costophrenic angle, blunting of the costophrenic angles, costophrenic angle blunting
            blunted costophrenic angle/angles/sulcus, obliterated costophrenic angle/sulcus
            blunted costophrenic sulci, blunted cp angle, cp angle blunting, blunted sulcus
            costophrenic blunting, blunting of the cp angle, blunted angle
        """,
        "consolidation": """
            consolidation, consolidations, consolidated, consolidative opacity/opacities
            consolidative change/changes, air bronchogram consolidation, lobar consolidation
            consolidative process, airspace consolidation, pneumonic consolidation, consolidated area
        """,
        "fracture": """
            fracture, fractures, broken rib, broken ribs, rib fracture, rib fractures, fractured
            fractured rib/ribs, compression fracture, clavicular fracture, clavicle fracture, broken clavicle
        """,
        "pneumomediastinum": "pneumomediastinum, mediastinal air, mediastinal emphysema, air in the mediastinum",
        "air collection": "air collection, air collections, collection of air, air pocket collection",
    }
)
"""Finding -> what it is called, in the form of `vocabulary.PHRASES`, besides its aliases in `findings.py`."""

OTHERS = """
    subcutaneous emphysema, soft tissue emphysema, surgical emphysema, pericardial effusion/effusions, nodule
    nodules, mass, masses, cavity, cavities, hyperinflation, copd, free air, widened mediastinum
    raised diaphragm, scar, scars, scarring, bronchiectasis, interstitial markings, lymphadenopathy, adenopathy
    lung volumes, volumes, fluid overload, lung markings, markings, mediastinal shift, tracheal shift
    pleural line, kerley lines, kerley b lines, kerley, cuffing, peribronchial cuffing, air fluid level
    fluid level, air bronchograms, meniscus, skin fold, skin folds, mach band, bulla, bullae, abscess
    pneumoperitoneum, soft tissue gas, gas, aeration, heart size, cardiac size, lucency, osteophytes
    spondylosis, deformity, degenerative changes, degenerative change, joint effusion
    elevation of the hemidiaphragm, hemidiaphragm elevation, elevation, tracheal collapse, vertebral collapse
    inguinal hernia, umbilical hernia, renal failure, respiratory failure, peripheral edema, soft tissue edema
    leg edema, air fluid levels, shadow, fluid levels, bone density, fluid balance, lymph node, lymph nodes
    lung lesion, air, free fluid, barotrauma, low lung volumes, pulmonary embolism, bone lesion
    interstitial lung disease, fibrosis, pulmonary hypertension, aneurysm, breast shadow, breast tissue
"""
"""Abnormalities that are no finding of the library, and what is no abnormality."""

DEVICES = """
    chest tube/tubes, pigtail, pigtail catheter, drain, drains, tube, tubes, et tube, ett, ngt
    endotracheal tube, ng tube, nasogastric tube, feeding tube, enteric tube, gastric tube, catheter, catheters
    picc, picc line, picc tip, line, lines, central line, ij line, swan ganz catheter, swan ganz, pacemaker
    leads, lead, icd lead, port, device, devices, sternal wires, wires, clips, surgical clips, stent
    defibrillator, hardware, support devices, lines and tubes, sheath, tracheostomy, tracheostomy tube
    dialysis catheter, tip, generator, inspiration, rotation, position, projection, technique, exposure
    foreign body, valve, pacer, balloon pump, chest drain, tube tip, catheter tip, ventilator, oxygen
    esophageal stent, oesophageal stent, endotracheal, nasogastric, patient position
"""
"""Devices, position and technique: a change of these alone leaves "nothing has changed" true."""

REGIONS: MappingProxyType[str, tuple[str, tuple[str, ...]]] = MappingProxyType(
    {
        "heart": (
            "heart, hearts, cardiac, ventricle, left ventricle, heart contour",
            ("cardiomegaly", "enlargement of the cardiac silhouette"),
        ),
        "silhouette": (
            """
                silhouette, cardiac silhouette, cardiomediastinal silhouette, cardiac shadow, heart shadow
                cardiac contour, cardiomediastinal contours/contour, cardiac contours, heart and mediastinum
                mediastinal contours
            """,
            ("enlargement of the cardiac silhouette", "cardiomegaly"),
        ),
        "vessels": (
            """
                vessels, pulmonary vessels, vasculature, pulmonary vasculature, vascularity
                pulmonary vascularity
            """,
            ("vascular congestion",),
        ),
        "hila": (
            "hila, hilum, hilar regions, hilar region, hilar",
            ("hilar congestion",),
        ),
        "aorta": (
            "aorta, thoracic aorta, aortic, aortic arch, arch, aortic knob, knob",
            ("tortuosity of the thoracic aorta", "calcification"),
        ),
        "descending aorta": (
            "descending aorta, descending thoracic aorta, descending part",
            ("tortuosity of the descending aorta",),
        ),
        "stomach": (
            "stomach, gastric, gastric bubble",
            ("gastric distention",),
        ),
        "angle": (
            """
                costophrenic angle/angles, costophrenic sulcus/sulci, costophrenic, cp angle/angles, cp, angle
                angles, sulcus, sulci
            """,
            ("blunting of the costophrenic angle", "pleural effusion"),
        ),
        "pleura": (
            "pleura, pleural, pleural space/spaces, pleural surfaces, pleural cavity/cavities",
            ("pleural effusion", "pneumothorax", "pleural thickening"),
        ),
        "bones": (
            """
                rib, ribs, clavicle, clavicular, bone, bones, rib cage, osseous structures, bony structures
                skeleton
            """,
            ("fracture",),
        ),
        "lungs": (
            """
                lung, lungs, lobe, lobes, zone, zones, lung field/fields, parenchyma, lung base/bases
                lower lobe, upper lobe, middle lobe, mid zone, pulmonary, airways, airway, hemithorax
                lung zones
            """,
            ("lung opacity", "consolidation", "edema", "atelectasis", "pneumonia"),
        ),
        "spine": (
            "spine, thoracic spine, vertebral column",
            ("scoliosis",),
        ),
        "mediastinum": (
            "mediastinum, mediastinal",
            ("pneumomediastinum",),
        ),
        "elsewhere": (
            """
                diaphragm, hemidiaphragm, hemidiaphragms, trachea, soft tissues, chest wall, abdomen, neck
            """,
            (),
        ),
    }
)
"""A part of the chest -> its names, and the findings that it has not where it is called clear or normal."""

ABNORMALS: MappingProxyType[tuple[str, str], str] = MappingProxyType(
    {
        ("heart", "enlarged, enlargement, dilated, big, large side"): "cardiomegaly",
        ("silhouette", "enlarged, enlargement, widened, big"): "enlargement of the cardiac silhouette",
        ("vessels", "congested, engorged, congestion, engorgement, plethoric"): "vascular congestion",
        ("hila", "congested, engorged, congestion, engorgement"): "hilar congestion",
        ("aorta", "tortuous, tortuosity, unfolded"): "tortuosity of the thoracic aorta",
        ("aorta ", "calcified"): "calcification",
        ("descending aorta", "tortuous, tortuosity, unfolded"): "tortuosity of the descending aorta",
        ("stomach", "distended, distension, distention, dilated"): "gastric distention",
        ("angle", "blunted, blunting, obliterated"): "blunting of the costophrenic angle",
        ("pleura", "thickened, thickening"): "pleural thickening",
        ("bones", "broken"): "fracture",
        ("lungs", "hazy, opaque, opacified"): "lung opacity",
        ("spine", "curved"): "scoliosis",
    }
)
"""(Part of the chest, words) -> the finding that such a word makes of it."""

SIZES: MappingProxyType[str, float] = MappingProxyType(
    {"tiny": 0.9, "trace": 0.9, "slight": 1.2, "faint": 1.2, "marked": 4.0, "gross": 4.5, "extensive": 4.0, "huge": 5.0}
)
"""Words of size that are no level of the library -> their rank beside `findings.RANKED_LEVELS`."""

FILM_NOUNS: frozenset[str] = frozenset(
    (
        *("image", "images", "film", "films", "study", "studies", "radiograph", "radiographs", "chest radiograph"),
        *("exam", "exams", "examination", "picture", "pictures", "scan", "cxr", "xray", "x ray", "chest x ray", "one"),
    )
)
"""After a word for a film these are part of it."""
