// What the server says and what the page tells it; the other end is wire.py and desk.py.

export type Point = [row: number, column: number];

export interface Structure {
  name: string;
  colour: string;
}

export interface Session {
  study: string;
  place: string;
  user: string;
  role: string;
  team: boolean;
  csrf: string;
  structures: Structure[];
  exclusion: Structure;
  filled: boolean;
  layers: string[]; // colours of other people's layers
}

export interface Mark {
  id: string;
  kind: "stroke" | "erase" | "diameter" | "nothing" | "raster";
  structure: number;
  points?: Point[];
  width?: number;
  plane?: number | null;
  filled?: boolean;
  runs?: number[];
  order: number; // when it was made
  retracted: number; // when it was taken back; 0: it counts
}

export interface About {
  key: string;
  id: string;
  planes: number;
  rows: number;
  columns: number;
  channels: number;
  type: "u1" | "u2" | "i2" | "f4";
  window: [number, number];
  range: [number, number];
  spacing: number[] | null;
  numbers: string[];
  sized: string[];
  model: "none" | "blind" | "there";
  marks: Mark[];
}

export interface Verdict {
  of: string;
  outcome: "accepted" | "returned";
  reason: string;
}

export interface OtherLayer {
  author: string;
  marks: Mark[];
  outcome: "done" | "skip" | "unsure" | null;
  reason: string;
  seconds: number | null;
  verdict: (Verdict & { by: string }) | null;
}

export interface Suggestion {
  key: string;
  reason: string;
}

export interface Following {
  next: Suggestion[];
  done: number;
  all: number;
  seconds: number | null;
}

export interface Everybody {
  people: { name: string; done: number; unsure: number; accepted: number; returned: number; seconds: number | null }[];
  images: number;
  agreement: { dice: number | null; pairs: number };
}

export type Role = "annotator" | "reviewer" | "admin";

export interface Account {
  name: string;
  role: Role;
  active: boolean;
}

export type AccountChange = { act: "password" | "block" | "unblock" } | { act: "role"; role: Role };

export interface Outline {
  structure: number;
  lines: Point[][];
}

export interface Grown {
  outlines: Outline[];
  notes: string[];
  warnings: string[];
}

export type Judgement = "" | "right" | "fix";

interface Named {
  id: string;
  case: string;
}

export interface Drawn extends Named {
  kind: "stroke" | "erase" | "diameter";
  structure: number;
  points: Point[];
  width: number;
  plane: number | null;
  filled: boolean;
}

export interface NothingHere extends Named {
  kind: "nothing";
}

export interface TakenBack extends Named {
  kind: "retract" | "restore";
  target: string;
}

export interface Visited extends Named {
  kind: "visit";
  outcome: "done" | "skip" | "unsure";
  seconds: number;
  reason: string;
  model: "none" | "blind" | "hidden" | "shown";
  judgement: Judgement;
  warned: boolean;
}

export interface Adopted extends Named {
  kind: "model";
  structure: number;
}

export interface Judged extends Named, Verdict {
  kind: "verdict";
}

export type Event = Drawn | NothingHere | TakenBack | Visited | Adopted | Judged;

export interface Refusal {
  event: Event;
  reason: string;
}

export interface Answer {
  saved: string[];
  refused: { id: string; reason: string }[];
}
