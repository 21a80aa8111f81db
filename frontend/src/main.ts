// The page: films in, a question, the answer, where it was seen, and what the model says when the pair is read backwards.

import {
  SIDES,
  ask,
  examples,
  filmOfStudy,
  modelName,
  readFilm,
  register,
  sample,
  studyOfAddress,
  takeToken,
  whyThisPrior,
  type Answer,
  type Registration,
  type Side,
} from "./api";
import { clear, find, listWarnings, say, show, showSwap } from "./result";
import { MOST_FILMS, Timeline, inOrder, ofSeveralPatients, type Opened } from "./timeline";
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

const viewer = new Viewer(find("#films"));
const opened: Partial<Record<Side, Opened>> = {};
const timeline = new Timeline(choose);
const question = find<HTMLInputElement>("#question");
const askButton = find<HTMLButtonElement>("#ask");
let request = 0;
let placing: Promise<void> = Promise.resolve();
let mode: Mode = "side";
let registered = true;
let registration: Registration | null = null;

function clearResult(): void {
  request++;
  clear();
  viewer.evidence(null, {});
}

async function place(side: Side, one: Opened | null): Promise<void> {
  if (one) opened[side] = one;
  else delete opened[side];
  registration = null;
  await viewer.show(side, one?.film ?? null);
}

/** After films were placed: what is to be known of them, and what comes next. */
async function placed(): Promise<void> {
  const warned = SIDES.flatMap((side) => (opened[side]?.film.warnings ?? []).map((text) => `${side}: ${text}`));
  listWarnings(warned);
  say(opened.prior && opened.current ? "Ask, or press Enter." : "Now the other film.", "busy");
  askButton.disabled = !opened.current;
  void layOver();
}

async function take(side: Side, file: File): Promise<void> {
  clearResult();
  timeline.close();
  say("reading the film …", "busy");
  try {
    await place(side, { file, name: file.name, film: await readFilm(file) });
    await placed();
  } catch (problem) {
    say(`${side}: ${(problem as Error).message}`, "error");
  }
}

/** Two files are prior and current, more make a timeline; in order of their dates, or of their names. */
async function takeAll(files: File[]): Promise<boolean> {
  clearResult();
  if (files.length > MOST_FILMS) {
    say(`Open at most ${MOST_FILMS} films.`, "error");
    return false;
  }
  const all: Opened[] = [];
  const leftOut: string[] = [];
  for (const [index, file] of files.entries()) {
    say(`reading film ${index + 1} of ${files.length} …`, "busy");
    try {
      all.push({ file, name: file.name, film: await readFilm(file) });
    } catch (problem) {
      leftOut.push(`left out: ${file.name}: ${(problem as Error).message}`);
    }
  }
  if (all.length < 2) {
    say(leftOut.join(" "), "error");
    return false;
  }
  if (ofSeveralPatients(all)) {
    say("These films are of several patients. Open films of one patient.", "error");
    return false;
  }
  const { films, dated } = inOrder(all);
  timeline.close();
  if (films.length > 2) await timeline.set(films, dated);
  else await choose(films[0], films[1]);
  listWarnings(leftOut, true);
  return true;
}

/** Show two films. Of several choices in a row, one after the other, those that are overtaken are left out. */
function choose(prior: Opened, current: Opened): Promise<void> {
  clearResult();
  const mine = request;
  placing = placing.then(async () => {
    if (mine !== request) return;
    await place("prior", prior);
    await place("current", current);
    await placed();
  });
  return placing;
}

async function answer(): Promise<void> {
  const { prior, current } = opened;
  if (!current) {
    say("Open the current film first.", "error");
    return;
  }
  clearResult();
  const mine = request;
  const asked = question.value.trim() || SUGGESTIONS[0];
  say("looking …", "busy");
  askButton.disabled = true;
  try {
    const reply = await ask({ prior: prior?.file, current: current.file }, asked);
    if (prior) timeline.mark(prior.file, current.file, reply);
    if (mine !== request) return;
    showReply(reply);
  } catch (problem) {
    if (mine === request) say((problem as Error).message, "error");
  } finally {
    askButton.disabled = false;
  }
}

function showReply(reply: Answer): void {
  show(reply, (map) => viewer.evidence(map, reply.films ?? {}));
  if (reply.backwards) showSwap(reply, reply.backwards);
}

function setMode(chosen: Mode): void {
  mode = chosen;
  for (const button of document.querySelectorAll<HTMLButtonElement>("#modes button[value]")) {
    button.setAttribute("aria-pressed", String(button.value === mode));
  }
  find("#swipe-row").hidden = mode !== "swipe";
  viewer.mode(mode);
  void layOver();
}

function setRegistered(on: boolean): void {
  registered = on;
  find("#registered").setAttribute("aria-pressed", String(on));
  void layOver();
}

function overlaid(): boolean {
  return mode !== "side";
}

/** In swipe and blink mode, the prior laid over the current film where that helps; a line says whether it is. */
async function layOver(): Promise<void> {
  const { prior, current } = opened;
  const words = find("#registration");
  find("#registered-row").hidden = !overlaid();
  words.textContent = "";
  if (!overlaid() || !prior || !current) return;
  if (!registered) {
    words.textContent = "films as taken";
    await viewer.lay(null);
    return;
  }
  words.textContent = "registering …";
  try {
    const found = registration ?? (await register({ prior: prior.file, current: current.file }));
    if (opened.prior !== prior || opened.current !== current) return;
    registration = found;
    if (!overlaid() || !registered) return;
    words.textContent = found.words;
    await viewer.lay(found.matrix);
  } catch (problem) {
    words.textContent = (problem as Error).message;
  }
}

async function exchange(): Promise<void> {
  if (timeline.open) {
    timeline.exchange();
    return;
  }
  const { prior, current } = opened;
  clearResult();
  await place("prior", current ?? null);
  await place("current", prior ?? null);
  await placed();
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
    input.addEventListener("change", () => {
      const files = [...(input.files ?? [])];
      input.value = "";
      void takeSome(files, side);
    });
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
  for (const button of document.querySelectorAll<HTMLButtonElement>("#modes button[value]")) {
    button.addEventListener("click", () => setMode(button.value as Mode));
  }
  find<HTMLInputElement>("#swipe").addEventListener("input", (event) =>
    viewer.swipe(Number((event.target as HTMLInputElement).value)),
  );
  find("#reset").addEventListener("click", () => viewer.reset());
  find("#registered").addEventListener("click", () => setRegistered(!registered));
  find("#exchange").addEventListener("click", () => void exchange());
  find("#theme").addEventListener("click", () =>
    setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark"),
  );
  document.addEventListener("keydown", onKey);
}

async function drop(event: DragEvent, side: Side, pane: HTMLElement): Promise<void> {
  event.preventDefault();
  pane.classList.remove("over");
  await takeSome([...(event.dataTransfer?.files ?? [])], side);
}

async function takeSome(files: File[], side: Side): Promise<void> {
  if (files.length === 1) await take(side, files[0]);
  else if (files.length) await takeAll(files);
}

/** A browser may refuse to open it for the first key of all; then Enter does, since the focus is there. */
function openPicker(side: Side): void {
  const input = find(`[data-side="${side}"] input`);
  input.focus();
  input.click();
}

function onKey(event: KeyboardEvent): void {
  const writing = event.target === question;
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (writing) {
    if (event.key === "Escape") question.blur();
    return;
  }
  const keys: Record<string, () => void> = {
    s: () => setMode("side"),
    w: () => setMode("swipe"),
    b: () => setMode("blink"),
    g: () => setRegistered(!registered),
    r: () => viewer.reset(),
    x: () => void exchange(),
    a: () => void answer(),
    "+": () => viewer.zoom(1.25),
    "-": () => viewer.zoom(0.8),
    "[": () => timeline.step(-1),
    "]": () => timeline.step(1),
    "/": () => question.focus(),
    p: () => openPicker("prior"),
    c: () => openPicker("current"),
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
        const files = [new File([await sample(prior)], "1"), new File([await sample(current)], "2")];
        if (await takeAll(files)) await answer();
      });
      item.append(button);
      return item;
    }),
  );
}

/** The new film of a study and its prior, out of the archive. */
async function openStudy(study: string): Promise<void> {
  say("asking the archive …", "busy");
  const why = await whyThisPrior(study);
  const files = [];
  for (const side of SIDES) files.push(new File([await filmOfStudy(study, side)], side));
  if (!(await takeAll(files))) return;
  await answer();
  listWarnings([`prior: ${why}`], true);
}

async function main(): Promise<void> {
  const study = studyOfAddress();
  takeToken();
  setTheme(localStorage.getItem("theme") ?? "dark");
  wire();
  await viewer.start();
  try {
    find("#model").textContent = await modelName();
    await listExamples();
    if (study) await openStudy(study);
  } catch (problem) {
    say((problem as Error).message, "error");
  }
  document.body.dataset.ready = "true";
}

void main();
