// What the server is asked, and what it says.

export type Side = "prior" | "current";
export const SIDES: readonly Side[] = ["prior", "current"];

export interface Film {
  rows: number;
  columns: number;
  /** Sides of the film that was sent; what is shown may be smaller. */
  height: number;
  width: number;
  /** rows x columns, 0 black to 65535 white. */
  pixels: Uint16Array;
  warnings: string[];
  /** ISO date or date-time of its header, or empty. */
  taken: string;
  /** The same for all films of a patient, or empty. */
  patient: string;
}

export interface Registration {
  used: boolean;
  /** For a reader. */
  words: string;
  /** 2 x 3: pixels of the prior that was sent -> pixels of the current film; null if not used. */
  matrix: number[][] | null;
}

export interface Geometry {
  scale: number;
  offset_x: number;
  offset_y: number;
}

export interface Change {
  added: string[];
  missing: string[];
  levels: { finding: string; prior: string; current: string }[];
}

export interface Answer {
  question: string;
  answer: string;
  unsure: boolean;
  kind: string;
  change: Change | null;
  leaning: string | null;
  confidence: Record<string, number>;
  warnings: string[];
  evidence: Record<string, number[][]> | null;
  films: Partial<Record<Side, Geometry>> | null;
  /** To the films exchanged, where that was asked for and the question is about change. */
  backwards: Answer | null;
  model: string;
  seconds: number;
}

const TOKEN = "intervalchange-token";

/** A token may come with the address as #token=...; it is kept for this tab only and leaves the address at once. */
export function takeToken(): void {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    sessionStorage.setItem(TOKEN, given);
    history.replaceState(null, "", location.pathname);
  }
}

/** A study of the archive may come with the address as #study=UID: behind the #, so that no log has it. */
export function studyOfAddress(): string {
  return new URLSearchParams(location.hash.slice(1)).get("study") ?? "";
}

async function send(path: string, form?: FormData): Promise<Response> {
  const token = sessionStorage.getItem(TOKEN);
  const headers: Record<string, string> = token ? { Authorization: `Bearer ${token}` } : {};
  let response: Response;
  try {
    response = await fetch(path, form ? { method: "POST", body: form, headers } : { headers });
  } catch {
    throw new Error("The server does not answer. Is `intervalchange serve` still running?");
  }
  if (response.status === 401) {
    throw new Error("The server wants a token: open this page with #token=TOKEN behind its address.");
  }
  if (!response.ok) {
    const reply = await response.json().catch(() => ({ error: `status ${response.status}` }));
    throw new Error(reply.error);
  }
  return response;
}

export async function readFilm(file: Blob): Promise<Film> {
  const form = new FormData();
  form.append("film", file, "film");
  const response = await send("/v1/film", form);
  const side = (name: string): number => Number(response.headers.get(`X-${name}`));
  return {
    rows: side("Rows"),
    columns: side("Columns"),
    height: side("Height"),
    width: side("Width"),
    pixels: new Uint16Array(await response.arrayBuffer()),
    warnings: JSON.parse(response.headers.get("X-Warnings") ?? "[]"),
    taken: response.headers.get("X-Taken") ?? "",
    patient: response.headers.get("X-Patient") ?? "",
  };
}

function formOf(films: Partial<Record<Side, Blob>>): FormData {
  const form = new FormData();
  for (const side of SIDES) {
    const film = films[side];
    if (film) form.append(side, film, "film");
  }
  return form;
}

export async function register(films: Record<Side, Blob>): Promise<Registration> {
  return (await send("/v1/registration", formOf(films))).json();
}

export async function ask(films: Partial<Record<Side, Blob>>, question: string): Promise<Answer> {
  const form = formOf(films);
  form.append("question", question);
  for (const wanted of ["maps", "films", "backwards"]) form.append(wanted, "true");
  return (await send("/v1/answer", form)).json();
}

export async function modelName(): Promise<string> {
  return (await (await send("/ready")).json()).model;
}

export interface Example {
  prior: string;
  current: string;
  title: string;
}

export async function examples(): Promise<Example[]> {
  return (await send("/examples")).json();
}

export async function sample(name: string): Promise<Blob> {
  return (await send(`/samples/${encodeURIComponent(name)}`)).blob();
}

/** Why the prior of a study is this one. */
export async function whyThisPrior(study: string): Promise<string> {
  return (await (await send(`/v1/studies/${encodeURIComponent(study)}/pair`)).json()).why;
}

export async function filmOfStudy(study: string, side: Side): Promise<Blob> {
  return (await send(`/v1/studies/${encodeURIComponent(study)}/films/${side}`)).blob();
}
