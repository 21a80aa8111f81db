// What the model answered: words, changes as chips, warnings, and whether the pair read backwards says the same.

import type { Answer, Change } from "./api";

const LIKELY = 0.1;
type Press = (map: number[][] | null) => void;

export function find<T extends HTMLElement>(selector: string): T {
  return document.querySelector<T>(selector)!;
}

/** Announced, and shown in the result. */
export function say(text: string, kind: "answer" | "error" | "busy" | "unsure"): void {
  const answer = find("#answer");
  answer.className = kind;
  answer.textContent = text;
}

export function clear(): void {
  for (const id of ["#leaning", "#chips", "#warnings", "#swap", "#facts"]) find(id).replaceChildren();
}

export function listWarnings(texts: string[], more = false): void {
  const items = texts.map((text) => Object.assign(document.createElement("li"), { textContent: text }));
  if (more) find("#warnings").append(...items);
  else find("#warnings").replaceChildren(...items);
}

/** The answer in words, its changes as chips; `press` is called with the map of a chip, null where it is let go. */
export function show(reply: Answer, press: Press): void {
  say(reply.answer, reply.unsure ? "unsure" : "answer");
  find("#leaning").textContent = reply.leaning ? `It leans to: ${reply.leaning}` : "";
  listWarnings(reply.warnings);
  find("#chips").replaceChildren(...chipsOf(reply, press));
  const confidence = reply.confidence["answer"];
  const sure = confidence === undefined ? "" : `probability of the whole answer ${confidence.toFixed(2)} · `;
  find("#facts").textContent = `${sure}${reply.model} · ${reply.seconds.toFixed(1)} s`;
}

interface Chip {
  key: string;
  finding: string;
  words: string;
  way: "added" | "missing" | "level";
  named: boolean;
}

function chipsOf(reply: Answer, press: Press): HTMLElement[] {
  const change = reply.change ?? { added: [], missing: [], levels: [] };
  const named: Chip[] = [
    ...change.added.map((finding): Chip => ({ key: `added:${finding}`, finding, words: "new", way: "added", named: true })),
    ...change.missing.map(
      (finding): Chip => ({ key: `missing:${finding}`, finding, words: "resolved", way: "missing", named: true }),
    ),
    ...change.levels.map(
      ({ finding, prior, current }): Chip => ({
        key: `level:${finding}`,
        finding,
        words: `${prior} → ${current}`,
        way: "level",
        named: true,
      }),
    ),
  ];
  const known = new Set(named.map((chip) => chip.key));
  const considered = Object.entries(reply.confidence)
    .filter(([key, value]) => key.includes(":") && !known.has(key) && value >= LIKELY)
    .sort((first, second) => second[1] - first[1])
    .slice(0, 4)
    .map(([key]): Chip => {
      const [way, finding] = key.split(":") as [Chip["way"], string];
      return { key, finding, way, words: { added: "new?", missing: "resolved?", level: "level?" }[way], named: false };
    });
  return [...named, ...considered].map((chip) => chipElement(chip, reply, press));
}

function chipElement(chip: Chip, reply: Answer, press: Press): HTMLElement {
  const item = document.createElement("li");
  const map = reply.evidence?.[chip.finding] ?? null;
  const element = document.createElement(map ? "button" : "span");
  element.className = `chip ${chip.way}${chip.named ? "" : " considered"}`;
  const probability = reply.confidence[chip.key];
  element.textContent = `${chip.finding}: ${chip.words}${probability === undefined ? "" : ` ${probability.toFixed(2)}`}`;
  if (map && element instanceof HTMLButtonElement) {
    element.type = "button";
    element.title = "show where it was seen";
    element.setAttribute("aria-pressed", "false");
    element.addEventListener("click", () => toggle(element, map, press));
  }
  item.append(element);
  return item;
}

function toggle(button: HTMLButtonElement, map: number[][], press: Press): void {
  const on = button.getAttribute("aria-pressed") !== "true";
  for (const chip of document.querySelectorAll("#chips button")) chip.setAttribute("aria-pressed", "false");
  button.setAttribute("aria-pressed", String(on));
  press(on ? map : null);
}

export function showSwap(given: Answer, swapped: Answer): void {
  const badge = find("#swap");
  const [text, kind] = swapVerdict(given, swapped);
  badge.textContent = `read backwards: ${text}`;
  badge.className = kind;
}

function swapVerdict(given: Answer, swapped: Answer): [string, string] {
  if (given.unsure && swapped.unsure) return ["not sure either", "unsure"];
  if (given.unsure !== swapped.unsure) return ["sure in one direction only", "bad"];
  return sameChange(given.change, swapped.change) ? ["the same change, reversed", "good"] : ["another change", "bad"];
}

function sameChange(given: Change | null, swapped: Change | null): boolean {
  const items = (change: Change | null, reversed: boolean): string =>
    [
      ...(change?.added ?? []).map((name) => `${reversed ? "missing" : "added"} ${name}`),
      ...(change?.missing ?? []).map((name) => `${reversed ? "added" : "missing"} ${name}`),
      ...(change?.levels ?? []).map(({ finding, prior, current }) =>
        reversed ? `${finding} ${current} ${prior}` : `${finding} ${prior} ${current}`,
      ),
    ]
      .sort()
      .join("; ");
  return items(given, false) === items(swapped, true);
}
