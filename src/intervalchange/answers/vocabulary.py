"""The words of answers about change, by what they do in a sentence: one table, no logic.

A phrase is plain lower-case words; `a/b` stands for either, `a?` for a word that may be left out. The longest phrase
wins. Names of findings and of parts of the chest are in `names.py`.
"""

from __future__ import annotations

from types import MappingProxyType

ADDED, MISSING, WORSE, BETTER, STABLE = "N", "G", "W", "B", "S"
"""Courses."""
DENIAL, HEDGE, CHANGE, PARTLY, ONLY = "D", "H", "M", "X", "E"
PRIOR, CURRENT, BOTH = "P", "C", "Z"
"""Films, and words of time that stand for one."""
FINDING, OTHER, REGION, ABNORMAL, HEALTHY, LEVEL = "F", "O", "R", "A", "K", "L"
IS, WAS, SEEN, THING, PRONOUN, REST, RESIDUAL, FROM, TO = "V", "U", "Y", "T", "J", "Q", "r", "f", "t"
AND, OR, BREAK, WITH, CAUSE, SAME, THAN, EITHER = "&", "|", "b", "w", "c", "i", "h", "e"
SIDE, RECURRENT, AGAIN, UNTOLD, DROPPED, GROWTH = "d", "q", "a", "u", "x", "g"
ANY_LONGER, AS_ON, SO_IS, OFF_PRIOR, QUANTITY, INTERVAL = "y", "s", "^", "p", "2", "I"
NOW = "n"
FILM = "a film"
"""The value of a word for a film that says so: "the prior image", not "previously"."""

PHRASES: MappingProxyType[str, str] = MappingProxyType(
    {
        ADDED: """
            happened, new, newly, newly present/seen/visible/noted/appeared/developed/found/apparent/evident, novel
            novelty, newly identified/detected/diagnosed/formed/arisen, brand new
            interval development/appearance/onset of, interval development/onset, development of, emergence of
            new appearance of, onset of, formation of, developed, develops, developing, appeared
            interval appearance, appears now, has/have appeared, emerged, emerging, arisen, arose, additional
            additionally, added, addition of, gained, acquired, occurred, set in, came on, come up
            has/have come, formed, built up, accumulated, collected, shows/show/showed/turned/shown up
            first seen, seen for the first time, for the first time, first time seen, first noted, first visible
            is/are recent, taken their/its place, become visible/apparent/evident/seen
            became visible/apparent/evident, becomes visible/apparent, come into being, de novo, has/have begun
            incident, joined, joins, extra, now/currently/today only, arrived, crept in, sprung up, cropped up
            has/have come about, materialised, materialized, surfaced, newfound, recently developed
            newly evident, supervened, came up, introduced, not previously present/seen/noted/visible/there
            not present/seen/noted/there/visible previously/before, previously absent
            was/were not there before/previously, intervally developed, freshly, fresh, turns up, turned up
            now joined by, has/have come into view, come into view, newly arrived, now affected by
        """,
        MISSING: """
            absent now, now absent, is/are now absent, resolved, resolves, resolution of, resolution
            complete resolution of, clearance of, clearance
            now free/clear of, now free from, has/have cleared, cleared, cleared up, cleared completely
            clearing complete of, complete clearing/clearance of, complete clearance, gone, gone away, went away
            disappeared, disappears, disappearance of, vanished, vanishes, no longer
            no longer seen/present/visible/visualized/visualised/identified/evident/apparent/noted/there/detected
            no longer demonstrated/appreciated/demonstrable/detectable/observed/shown/has/shows/show/visualise
            no more, removed, removal of, lost, loses, loss, dropped, missing, is/are missing, misses, relieved
            has/have healed, healed, absorbed completely/fully, fully/completely absorbed, reabsorbed
            has/have been absorbed/reabsorbed, absorbed, clearing of, interval clearing of, evacuated
            drained completely, subsided entirely/completely/fully, cured, newly absent, eliminated
            back to normal, returned to normal, return to normal, normalised, normalized, normalisation of
            eradicated, normalization of, last seen, dissolved, dissipated, faded away, melted away
            abated completely, remedied, disappearing, no trace of, no trace remains of
            nowhere to be seen/found now, interval clearance of, reexpanded fully, re expanded fully
            reexpanded completely, completely/fully reexpanded, sealed, ceased, extinguished
            formerly present/seen, former only, been taken away, left no trace, cleared entirely, wiped out
            gone for good, no more evidence of, completely gone, no remaining, is/are history
        """,
        WORSE: """
            worse, worsen, worsens, worsened, worsening, worsening of, aggravated, aggravation of, exacerbated
            deteriorated, exacerbation of, deterioration of, deterioration, increase, increase in, increase of
            increases, increased, increasing, greater, larger, bigger, largest, denser, thicker, wider, broader
            more, more so, even more so, grown, grew, growing, growth of, expanded further, expanding
            has/have expanded, progressed, progression of, progression in, progression, progressive, progressing
            progresses, progress of, growth, expanded, extended, extends further, extension of, spread
            spreading, advanced, advancing, advances, enlarging, has/have enlarged, enlarged further, heavier
            rising, rise in, rise of, risen, rose, up, gone up, went up, gained in extent, higher, deeper
            augmented, intensified, intensifying, accentuated, swollen further, thickened, heightened, widened
            coarser, stronger, escalated, escalating, multiplied, doubled, tripled, reaccumulated, more of
            gotten/got worse, become more, uptick in, larger in size, widening, mounted, further increase in/of
            on the rise, interval increase in/of, interval increase, interval worsening of
            interval progression of, interval worsening, interval growth of, ballooned, climbed, surged, gaining
            amplified, doubled in size, uptrending, more marked, blossomed, up trending
        """,
        BETTER: """
            better, improve, improves, improved, improving, improvement, improvement of, improvement in
            decreasing, decrease, decrease in, decrease of, decreases, decreased, lessening of, lessened
            lessening, smaller, less, less so, fewer, thinner, fainter, narrower, shrunk, shrunken, shrinking
            shrank, shrinks, shrinkage of, diminished, diminishing, diminution of, diminution in, reduced
            reduction in, reduction of, reduction, receded, receding, recedes, regressed, regression of
            regression, regressing, regresses, resolving, clearing, clearing of, interval clearing of, subsiding
            subsided, eased, easing, abated, abating, down, gone down, went down, going down, fading, faded
            faint now, thinned out, thinning, breaking up, dissolving, lighter, milder, withdrawn, falling
            fallen, fell, drop in, declined, decline in, declining, waned, waning, lowered, dwindled, dwindling
            retreating, retreated, ebbed, ebbing, tapered, drier, shallower, weaker, partially/partly drained
            halved, slimmer, resorbing, resorption of, healing, contracted, alleviated, alleviation of
            mitigated, decongested, not so much, not as much/large/big/dense/extensive/prominent, reexpanding
            interval improvement in/of, interval improvement, interval decrease in/of, interval decrease
            interval reduction in/of, on the mend, recovering, recovery of, slackened, softened, less of
            down trending, downtrending, on the way out, almost gone, nearly gone, all but gone, much less
            petering out
        """,
        STABLE: """
            old/known/chronic/familiar finding/findings, old news, unchanged, stable, stably, similar, similarly
            same, the same, as before, as was, persistent
            persists, persist, persisted, persisting, persistence of, remains, remain, remained, remaining
            still, again, again seen/noted/demonstrated/visible/identified/present/shown, redemonstrated
            redemonstration of, re demonstrated, static, constant, steady, unaltered, identical, alike
            as on the prior, stability of, as in the prior, as previously, as previously seen/noted/described
            as on the earlier/previous film, kept, carried over, held its/their ground, stayed, stays
            stayed that way, as ever, as always, just as, as it was, as they were, as it/they did
            just as it/they was/were/did, was/were there already, already there, already present
            already visible, already seen, no different, no different from, unvarying, equal, equivalent
            retained, preserved, maintained, continues, continued, continuing, failed/fails/failing to resolve
            failed/fails/failing to clear/improve, common to both, in status quo, status quo, moved on not
            comparable, chronic, chronically, longstanding, long standing, as of old, like before, like it was
            sustained, lingering, lingers, persistingly, so was it before, not otherwise changed, unaffected
            indistinguishable, consistent, same as before, same as, the same as before, unmodified, ongoing
            much as before, much the same, about the same, neither of these/them has moved on, unmoved
            has/have not moved, matches, match, in keeping with before, lasting, has/have not budged
            where it was, as it used to be, does/do not differ, hardly changed, barely changed, scarcely changed
            essentially unchanged, nothing new, nothing has happened to, no stranger
        """,
        DENIAL: """
            no, not, without, none, nil, neither, nor, never, absent, absence of, lack of, lacks, lacked
            lacking, negative for, negative, free of, free from, nothing, nowhere, devoid of, void of, excluded
            ruled out, no evidence of, no sign of, no signs of, without evidence of, not a, no hint of
            cannot see, unable to see/find/spot/detect/identify/make, not able to see/find/spot/detect
            little if any, little or no, scarcely any, not that, it is not that, no definite, no convincing
            no obvious, no appreciable, cannot be found/seen/identified, not be found/seen/identified
            nowhere to be seen, nowhere to be found, hardly any, nope, zero, never present, never seen
            never there, rather than, instead of, no suggestion of, no suspicious, no suspicion of
            has/have excluded, false, no such, does/did not show, could not find, can not find, may not be seen
            fails to show, failed to show, nobody, not borne out, nothing to suggest, no evidence for
            no indication of, no concerning, no discernible, no demonstrable, no visible, no clear
        """,
        HEDGE: """
            possible, possibly, more likely, most likely, likely represents/represent, plausible, plausibly
            probable, probably, likely, presumably, presumed, perhaps, maybe, may, might, could, questionable
            equivocal, suspected, suspect, suspects, suspicion of, suspicion for, suggest, suggests, suggested
            suggesting, suggestive of, suspicious for, suspicious of, suspicious, concerning for, concern for
            worrisome for, worrying for, worry for, raises the question of, raise the question of, question of
            raising the question of, raising concern for, raises concern for, can not exclude, unclear
            can not be excluded, not excluded, not entirely excluded, can not be entirely/completely excluded
            can not rule out, can not be ruled out, cannot rule out, versus, vs, if real, indeterminate
            uncertain, conceivable, conceivably, differential, possibility of, possibly representing, query
            rule out, if any, may or may not, potential, potentially, suggestion of, hint of, a hint of
            i think perhaps, arguably, not sure, unsure, not certain, doubtful, in doubt, tentative, tentatively
            apparently perhaps, could be, could represent, may represent, might represent, could reflect
            may reflect, would be new if, can not tell, can not determine, unable to determine/tell/say/judge
            can not say, can not be certain, hard to say, might be, may be, too subtle to call, favored
            favoured, unlikely, less likely, confidence low, low confidence, in the differential, not conclusive
            inconclusive, ambiguous, debatable, to be confirmed, wonder, conjecture, would favour, would favor
            can not be judged, can not be assessed, can not be evaluated, hypothetical, hypothetically, sure if
            it is possible, we can not exclude, can not entirely exclude, can not completely exclude
            can not be confirmed, not clear whether
        """,
        CHANGE: """
            change, changes, changed, change in, changes in, change of, difference, differences, difference in
            differs, differ, different, interval change, interval change in, differing, discrepancy
            discrepancies, altered, alteration, alterations, alteration in, evolution, variation, variance
            interval alteration, shift between, interval difference, development, developments
            interval development to report, dissimilarity, dissimilar, interval changes, changing, trend
            evolved
        """,
        PARTLY: """
            partial, partially, partly, nearly, almost, largely, mostly, essentially, virtually, near complete
            incomplete, incompletely, near completely, almost completely, nearly completely, almost entirely
            all but, some, almost complete, near total, substantially, mainly, practically, just about
            not completely, not fully, not entirely, to a large extent, for the most part, close to, not quite
            in part, not yet fully
        """,
        ONLY: """
            only, solely, exclusively, alone, exclusive to, unique to, confined to, limited to, just
            nothing but
        """,
        PRIOR: """
            prior, priors, previous, previously, earlier, before, reference, baseline, comparison, old, older
            former, formerly, initial, initially, past, then, originally, in the past, ref, prev, at that time
            at that date, of that date, of before, until now, once, beforehand, first image/film, earliest
            prior one, older one, prior image/film/study/radiograph/exam/examination/xray/scan/picture/cxr/ap/pa
            in the interim before, used to be, a while ago, yesterday, days ago, pre procedure, pre procedural
            preoperative, last time, previous one, earlier one, the day before, at baseline
        """,
        CURRENT: """
            current, currently, now, today, present film/image/study/radiograph/examination/exam, main, newer
            newest, follow up, followup, later, latest, latter image/film, recent, most recent, at present
            this film/image/study, this one, this time, this examination/exam/radiograph, meanwhile, nowadays
            cur, curr, at this time, by now, most recently, new film/image/study/radiograph/examination/exam
            subsequent, presently, second image/film, at the moment, of late, the latter
        """,
        BOTH: """
            both images/films/studies/radiographs/exams/examinations/pictures/scans/xrays/times/dates/occasions
            both of the images/films, either image/film/study/radiograph, either of them, each film/image/study
            in each, on both, in both, both the images, neither image/film/study, then and now, now and then
            before and now, before and after, two images/films/studies/radiographs, in either, on either
            now as before, on each, both x rays, both chest x rays, either one, both points in time
            at both times, all along, both cxrs, there was and there is, there were and there are, was and is
            were and are, alike on both, either x ray, either of the films/images, both chest radiographs
            in the two
        """,
        HEALTHY: """
            clear, normal, unremarkable, sharp, intact, midline, healthy, clean, aerated, well aerated
            fully expanded, within normal limits, free, not enlarged, re expanded, reexpanded, unimpaired
            compensated, of normal size, of normal width, straight, within limits, uninvolved, unenlarged
            undisplaced, non enlarged, patent
        """,
        IS: """
            is, are, has, have, been, be, being, shows, show, showing, displays, display, demonstrates
            demonstrate, contains, reveals, there is, there are, has got, exhibits, documents, does, do, depicts
            presents, features, became, become, becomes, becoming, got, gotten, turned, looks, look, gets, going
            went, stands, has become, contain
        """,
        WAS: """
            was, were, there was, there were, had, did, showed, displayed, demonstrated, used to, contained
            revealed, existed, had been, lay
        """,
        SEEN: """
            seen, visible, noted, identified, evident, present, visualized, visualised, detected, found
            apparent, there, observed, see, find, spot, notice, observe, detect, discern, identify, shown
            demonstrable, appreciated, exists, exist, recognised, recognized, recorded, described, spotted
            perceptible, discernible, reported, mentioned, noticeable, positive, yes, true, depicted, pictured
            could/can be seen/found/identified, can be made out, could be made out, detectable, obvious
            made out, picked up, make out, confirmed
        """,
        THING: """
            finding, findings, abnormality, abnormalities, anything, things, thing, something, process, disease
            pathology, else, lesion, other, others, note, concern, lung disease, cardiopulmonary process
            problem, problems
        """,
        PRONOUN: """
            it, they, this, these, that, those, which, them, its, their, one, who, where, whose, all of it
        """,
        INTERVAL: "interval",
        QUANTITY: "both, each, all, all of the",
        REST: """
            otherwise, everything, rest, remainder, everything else, all else, the rest, overall, all other
            appearances, appearance, examination, exam, radiograph, chest radiograph, cxr, chest, picture, film
            image, study, images, films, findings otherwise, all findings, all of the findings
            cardiopulmonary findings, studies, radiographs, cardiopulmonary status, the whole, exams, xray
            xrays, x ray, x rays, chest x ray, chest x rays, pictures, scan, scans, situation, status
            other findings, other structures, state
        """,
        RESIDUAL: "residual, residue, residua, remnant, remnants, leftover",
        FROM: "from, formerly from",
        TO: "to, ->, =>, into, given way to, gave way to, giving way to, →, >, ⇒",
        AND: """
            and, plus, as well as, along with, together with, also, also with, then also, accompanied by, &, +
        """,
        OR: "or, /",
        BREAK: """
            but, however, while, whereas, although, though, except, except for, apart from, aside from
            other than, besides, yet, whilst, on the other hand, in contrast, by contrast, on the contrary
            except that, but for, on the other, nevertheless, because, instead, in turn, with the exception of
            excepting, conversely, meantime, so that, so, if
        """,
        WITH: "with, with associated, accompanied with, having, showing also",
        CAUSE: """
            due to, secondary to, related to, in the setting of, because of, caused by, owing to, as a result of
            following, attributed to, explained by, explaining, in the context of, as a consequence of
            on account of
        """,
        SAME: """
            consistent with, compatible with, in keeping with, representing, reflecting, indicating, indicates
            represents, represent, which represents/represent/reflects/indicates/is, i e, ie, that is, indicate
            reflects, meaning, amounting to, which is, in line with, diagnostic of, characteristic of
            most consistent with, most compatible with, constituting, namely, called, or rather
        """,
        THAN: """
            than, compared to, compared with, in comparison to, in comparison with, relative to, since
            versus the, as compared, compared, with respect to, when compared to, when compared with, against
            over, in relation to, as compared to, as compared with, comparing, in contrast to, between, vs the
            c w, compared against
        """,
        UNTOLD: "unlike, as opposed to, contrary to",
        RECURRENT: """
            recurrent, recurrence of, recurrence, reappeared, reappearance of, relapse of, returned
            has come back
        """,
        AGAIN: """
            already, known, preexisting, pre existing, established, existing
            previously noted/seen/described/known
        """,
        SIDE: """
            left, right, bilateral, bilaterally, upper, lower, middle, mid, apical, basal, basilar, l, r, lul
            lll, rul, rml, rll, lingula, lingular, left sided, right sided, apex, base, bases, apices, bibasilar
            bibasal, hilar side, rt, lt, leftward, rightward, retrocardiac, perihilar, biapical, eighth, seventh
            sixth, ninth, fifth, fourth, third
        """,
        DROPPED: """
            no small, no doubt, no question, not only, not just, in fact, at least, up to, up one grade
            down one grade, as much as, even though not, up close, as expected, above, over the left
            over the right, one grade, look up, more or less, mediastinum is central, at first, caught my eye
            worth mentioning, of note, to speak of, if you look, seem, seems, appear, appears, to me
            as far as i can see, as far as can be seen, best of my knowledge, in size, in extent, amount of
            degree of, level of, for the most, clearly, note that, now that, before treatment, all the same
            in the interval, over the interval, no need, no surprise, not surprisingly, in the meantime, amount
            amounts, an amount of
        """,
        GROWTH: "enlarged, enlargement of, enlargement, interval enlargement of, interval enlargement",
        ANY_LONGER: "any longer, any more, anymore",
        AS_ON: """
            as on, as in, as at, as seen on/in, as described on/in, as noted on/in, like on, like in
            just as on/in
        """,
        SO_IS: """
            so is, so are, so has, so have, so do, so does, so did, so was, so were, neither is, neither are
            neither has, neither have, nor is, nor are, nor has, nor have, likewise, ditto, idem, as is, as are
            as has, as have
        """,
        OFF_PRIOR: "missing from/on/in reference/prior/previous/earlier/older/first",
        NOW: "now seen/visible/present/evident/apparent/noted/identified/there/shown, currently seen/visible/present",
    }
)
"""What a phrase does -> phrases."""
