// The films of a patient in order: which two are looked at, and what was answered about neighbours.

import type { Answer, Film, Side } from "./api";
import { SIDES } from "./api";
import { find } from "./result";

export const MOST_FILMS = 12;

export interface Opened {
  file: Blob;
  name: string;
  film: Film;
}

/** By date where all films have one, else by name; which of the two. */
export function inOrder(films: Opened[]): { films: Opened[]; dated: boolean } {
  const dated = films.every(({ film }) => film.taken);
  const key = ({ film, name }: Opened): string => (dated ? film.taken : name);
  const order = (first: Opened, second: Opened): number =>
    key(first).localeCompare(key(second), "en", { numeric: !dated });
  return { films: [...films].sort(order), dated };
}

/** Whether the headers name more than one patient. */
export function ofSeveralPatients(films: Opened[]): boolean {
  return new Set(films.map(({ film }) => film.patient).filter(Boolean)).size > 1;
}

export class Timeline {
  private films: Opened[] = [];
  private dated = false;
  private readonly marks = new Map<Opened, Answer>();
  readonly chosen: Record<Side, number> = { prior: 0, current: 0 };

  /** choose: called when another pair is chosen. */
  constructor(private readonly choose: (prior: Opened, current: Opened) => Promise<void>) {}

  /** More than two films have a timeline; the last two are chosen. */
  set(films: Opened[], dated: boolean): Promise<void> {
    this.films = films;
    this.dated = dated;
    this.marks.clear();
    return this.pick({ prior: films.length - 2, current: films.length - 1 });
  }

  close(): void {
    this.films = [];
    find("#timeline").hidden = true;
  }

  get open(): boolean {
    return this.films.length > 0;
  }

  /** Both a step later (1) or earlier (-1). */
  step(by: number): void {
    const { prior, current } = this.chosen;
    const inside = (index: number): boolean => index >= 0 && index < this.films.length;
    if (inside(prior + by) && inside(current + by)) void this.pick({ prior: prior + by, current: current + by });
  }

  exchange(): void {
    void this.pick({ prior: this.chosen.current, current: this.chosen.prior });
  }

  private pick(chosen: Record<Side, number>): Promise<void> {
    Object.assign(this.chosen, chosen);
    this.draw();
    return this.choose(this.films[chosen.prior], this.films[chosen.current]);
  }

  /** An answer about change to two films that were compared. */
  mark(prior: Blob, current: Blob, answer: Answer): void {
    const index = this.films.findIndex(({ file }) => file === current);
    if (index < 1 || this.films[index - 1].file !== prior || answer.kind !== "difference") return;
    this.marks.set(this.films[index], answer);
    this.draw();
  }

  private draw(): void {
    const section = find("#timeline");
    const focus = section.contains(document.activeElement) ? (document.activeElement as HTMLElement).id : "";
    section.hidden = false;
    find("#timeline-order").textContent = this.dated ? "by date" : "by file name: not all films say when they were taken";
    const list = find("#timeline ol");
    list.replaceChildren(...this.films.map((opened, index) => this.item(opened, index)));
    const chosen = list.children[Math.max(this.chosen.prior, this.chosen.current)] as HTMLElement;
    list.scrollLeft = chosen.offsetLeft - list.offsetLeft + chosen.offsetWidth - list.clientWidth;
    if (focus) document.getElementById(focus)?.focus();
  }

  private item(opened: Opened, index: number): HTMLElement {
    const item = document.createElement("li");
    const [day, time] = this.dated ? opened.film.taken.split("T") : [opened.name, ""];
    const title = document.createElement("strong");
    title.textContent = day;
    title.title = time ? `${day} ${time}` : day;
    item.append(title);
    for (const side of SIDES) item.append(this.radio(side, index, title.title));
    const mark = document.createElement("small");
    const answer = this.marks.get(opened);
    mark.textContent = answer ? `since the film before: ${summary(answer)}` : "";
    item.append(mark);
    return item;
  }

  private radio(side: Side, index: number, title: string): HTMLElement {
    const label = document.createElement("label");
    const input = document.createElement("input");
    input.type = "radio";
    input.name = side;
    input.id = `${side}-${index}`;
    input.checked = this.chosen[side] === index;
    input.setAttribute("aria-label", `${side}: ${title}`);
    input.addEventListener("change", () => {
      const other: Side = side === "prior" ? "current" : "prior";
      const others = this.chosen[other] === index ? this.chosen[side] : this.chosen[other];
      void this.pick(side === "prior" ? { prior: index, current: others } : { prior: others, current: index });
    });
    label.append(input, side);
    return label;
  }
}

function summary(answer: Answer): string {
  if (answer.unsure || !answer.change) return "not sure";
  const { added, missing, levels } = answer.change;
  const parts = [
    [added.length, "new"],
    [missing.length, "resolved"],
    [levels.length, "another level"],
  ] as const;
  const words = parts.filter(([count]) => count).map(([count, word]) => `${count} ${word}`);
  return words.join(", ") || "no change";
}
