// The page: films in, a question, the answer, where it was seen, and what the model says when the pair is read backwards.

import { SIDES, ask, examples, modelName, readFilm, sample, takeToken, type Answer, type Change, type Side } from "./api";
import { Viewer, type Mode } from "./viewer";

const SUGGESTIONS = [
  "what has changed compared to the reference image?",
  "is there pleural effusion?",
  "what level is the pleural effusion?",
  "where is the lung opacity?",
  "what type is the pneumothorax?",
  "what abnormalities are seen in this image?",
  "which view is this image taken?",
];
const LIKELY = 0.1;

function find<T extends HTMLElement>(selector: string): T {
  return document.querySelector<T>(selector)!;
}

const viewer = new Viewer(find("#films"));
const files: Partial<Record<Side, Blob>> = {};
const question = find<HTMLInputElement>("#question");
const askButton = find<HTMLButtonElement>("#ask");
let request = 0;
let seen: Answer | null = null;

/** Announced, and shown in the result. */
function say(text: string, kind: "answer" | "error" | "busy" | "unsure"): void {
  const answer = find("#answer");
  answer.className = kind;
  answer.textContent = text;
}

function clearResult(): void {
  request++;
  seen = null;
  for (const id of ["#leaning", "#chips", "#warnings", "#swap", "#facts"]) find(id).replaceChildren();
  viewer.evidence(null, {});
}

async function take(side: Side, file: Blob): Promise<void> {
  clearResult();
  say("reading the film …", "busy");
  try {
    const film = await readFilm(file);
    files[side] = file;
    await viewer.show(side, film);
    listWarnings(film.warnings.map((text) => `${side}: ${text}`));
    say(files.prior && files.current ? "Ask, or press Enter." : "Now the other film.", "busy");
  } catch (problem) {
    say(`${side}: ${(problem as Error).message}`, "error");
  }
  askButton.disabled = !files.current;
}

function listWarnings(texts: string[]): void {
  find("#warnings").replaceChildren(
    ...texts.map((text) => {
      const item = document.createElement("li");
      item.textContent = text;
      return item;
    }),
  );
}

async function answer(): Promise<void> {
  if (!files.current) {
    say("Open the current film first.", "error");
    return;
  }
  clearResult();
  const mine = request;
  const asked = question.value.trim() || SUGGESTIONS[0];
  say("looking …", "busy");
  askButton.disabled = true;
  try {
    const reply = await ask(files, asked);
    if (mine !== request) return;
    show(reply);
    if (reply.backwards) showSwap(reply, reply.backwards);
  } catch (problem) {
    if (mine === request) say((problem as Error).message, "error");
  } finally {
    askButton.disabled = false;
  }
}

function show(reply: Answer): void {
  seen = reply;
  say(reply.answer, reply.unsure ? "unsure" : "answer");
  find("#leaning").textContent = reply.leaning ? `It leans to: ${reply.leaning}` : "";
  listWarnings(reply.warnings);
  find("#chips").replaceChildren(...chipsOf(reply));
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

function chipsOf(reply: Answer): HTMLElement[] {
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
  return [...named, ...considered].map((chip) => chipElement(chip, reply));
}

function chipElement(chip: Chip, reply: Answer): HTMLElement {
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
    element.addEventListener("click", () => press(element, map));
  }
  item.append(element);
  return item;
}

function press(button: HTMLButtonElement, map: number[][]): void {
  const on = button.getAttribute("aria-pressed") !== "true";
  for (const chip of document.querySelectorAll("#chips button")) chip.setAttribute("aria-pressed", "false");
  button.setAttribute("aria-pressed", String(on));
  viewer.evidence(on ? map : null, seen?.films ?? {});
}

function showSwap(given: Answer, swapped: Answer): void {
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

function setMode(mode: Mode): void {
  for (const button of document.querySelectorAll<HTMLButtonElement>("#modes button")) {
    button.setAttribute("aria-pressed", String(button.value === mode));
  }
  find("#swipe-row").hidden = mode !== "swipe";
  viewer.mode(mode);
}

async function exchange(): Promise<void> {
  const { prior, current } = files;
  delete files.prior;
  delete files.current;
  if (prior) await take("current", prior);
  if (current) await take("prior", current);
  if (!prior) await viewer.show("current", null);
  if (!current) await viewer.show("prior", null);
  askButton.disabled = !files.current;
}

function setTheme(theme: string): void {
  document.documentElement.dataset.theme = theme;
  localStorage.setItem("theme", theme);
  find("#theme").textContent = theme === "dark" ? "light" : "dark";
}

function wire(): void {
  for (const side of SIDES) {
    const pane = find(`[data-side="${side}"]`);
    const input = pane.querySelector("input")!;
    input.addEventListener("change", () => input.files?.[0] && void take(side, input.files[0]));
    pane.addEventListener("dragover", (event) => {
      event.preventDefault();
      pane.classList.add("over");
    });
    pane.addEventListener("dragleave", () => pane.classList.remove("over"));
    pane.addEventListener("drop", (event) => void drop(event, side, pane));
  }
  find("#suggestions").replaceChildren(
    ...SUGGESTIONS.map((text) => Object.assign(document.createElement("option"), { value: text })),
  );
  find("#form").addEventListener("submit", (event) => {
    event.preventDefault();
    void answer();
  });
  for (const button of document.querySelectorAll<HTMLButtonElement>("#modes button")) {
    button.addEventListener("click", () => setMode(button.value as Mode));
  }
  find<HTMLInputElement>("#swipe").addEventListener("input", (event) =>
    viewer.swipe(Number((event.target as HTMLInputElement).value)),
  );
  find("#reset").addEventListener("click", () => viewer.reset());
  find("#exchange").addEventListener("click", () => void exchange());
  find("#theme").addEventListener("click", () =>
    setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark"),
  );
  document.addEventListener("keydown", onKey);
}

/** Two files dropped together are prior and current, in the order of their names. */
async function drop(event: DragEvent, side: Side, pane: HTMLElement): Promise<void> {
  event.preventDefault();
  pane.classList.remove("over");
  const dropped = [...(event.dataTransfer?.files ?? [])].sort((first, second) => first.name.localeCompare(second.name));
  if (dropped.length === 2) {
    await take("prior", dropped[0]);
    await take("current", dropped[1]);
  } else if (dropped.length === 1) {
    await take(side, dropped[0]);
  } else if (dropped.length) {
    say("Drop one film, or a prior and a current one.", "error");
  }
}

function onKey(event: KeyboardEvent): void {
  const writing = event.target instanceof HTMLInputElement && event.target.type !== "file";
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (writing) {
    if (event.key === "Escape") (event.target as HTMLInputElement).blur();
    return;
  }
  const keys: Record<string, () => void> = {
    s: () => setMode("side"),
    w: () => setMode("swipe"),
    b: () => setMode("blink"),
    r: () => viewer.reset(),
    x: () => void exchange(),
    a: () => void answer(),
    "+": () => viewer.zoom(1.25),
    "-": () => viewer.zoom(0.8),
    "/": () => question.focus(),
    p: () => find('[data-side="prior"] input').click(),
    c: () => find('[data-side="current"] input').click(),
  };
  const chip = document.querySelectorAll<HTMLButtonElement>("#chips button")[Number(event.key) - 1];
  const action = keys[event.key] ?? (chip ? () => chip.click() : null);
  if (action) {
    event.preventDefault();
    action();
  }
}

async function listExamples(): Promise<void> {
  const list = await examples();
  find("#examples").replaceChildren(
    ...list.map(({ prior, current, title }) => {
      const item = document.createElement("li");
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = title;
      button.addEventListener("click", async () => {
        await take("prior", await sample(prior));
        await take("current", await sample(current));
        await answer();
      });
      item.append(button);
      return item;
    }),
  );
}

async function main(): Promise<void> {
  takeToken();
  setTheme(localStorage.getItem("theme") ?? "dark");
  wire();
  await viewer.start();
  try {
    find("#model").textContent = await modelName();
    await listExamples();
  } catch (problem) {
    say((problem as Error).message, "error");
  }
  document.body.dataset.ready = "true";
}

void main();
