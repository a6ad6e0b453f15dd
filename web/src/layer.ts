// The own marks on one image: what was done, what was taken back, and the pixels that this comes to.

import { type Box, paintInside, paintLine } from "./raster";
import type { About, Event, Mark, Point } from "./types";

// Later than anything that the server has numbered.
let clock = 2 ** 40;

export class Layer {
  readonly marks: Mark[] = [];
  readonly bits: Uint16Array; // of the plane that is shown: bit k is structure k, the bit after the last "none of these"
  plane = 0;

  constructor(
    readonly about: About,
    pending: Event[],
    readonly exclusion: number, // the bit of "none of these"
  ) {
    this.bits = new Uint16Array(about.rows * about.columns);
    for (const mark of about.marks) this.marks.push({ ...mark });
    const known = new Set(this.marks.map((mark) => mark.id));
    for (const event of pending) this.take(event, known);
  }

  private take(event: Event, known: Set<string>): void {
    if ("target" in event) {
      const mark = this.marks.find((candidate) => candidate.id === event.target);
      if (mark) mark.retracted = event.kind === "retract" ? ++clock : 0;
      return;
    }
    if (event.kind === "visit" || event.kind === "model" || event.kind === "verdict" || known.has(event.id)) return;
    known.add(event.id);
    if (event.kind === "nothing") this.add({ id: event.id, kind: "nothing", structure: 0, order: 0, retracted: 0 });
    else {
      const { id, kind, structure, points, width, plane, filled } = event;
      this.add({ id, kind, structure, points, width, plane, filled, order: 0, retracted: 0 });
    }
  }

  add(mark: Mark): void {
    mark.order = ++clock;
    this.marks.push(mark);
  }

  /** The mark that undo takes back. */
  get last(): Mark | undefined {
    return this.counting.at(-1);
  }

  /** The mark that redo brings back: the one taken back last, unless something was made since. */
  get undone(): Mark | undefined {
    const newest = Math.max(0, ...this.marks.map((mark) => mark.order));
    const back = this.marks.filter((mark) => mark.retracted > newest);
    return back.sort((a, b) => b.retracted - a.retracted)[0];
  }

  get counting(): Mark[] {
    return this.marks.filter((mark) => !mark.retracted);
  }

  /** Changes with every mark that is made, taken back or brought back, and with the plane. */
  get version(): string {
    return `${this.about.key} ${this.plane} ${this.marks.length} ${clock} ${this.counting.length}`;
  }

  /** Pixels of the plane that are marked. */
  get inked(): number {
    let count = 0;
    if (this.counting.length) for (let i = 0; i < this.bits.length; i++) if (this.bits[i]) count++;
    return count;
  }

  get nothing(): Mark | undefined {
    return this.counting.find((mark) => mark.kind === "nothing");
  }

  get empty(): boolean {
    return !this.counting.some((mark) => mark.kind !== "diameter");
  }

  /** The first pixel that is marked, from the top. */
  get topmost(): Point | null {
    const i = this.bits.findIndex((bits) => bits !== 0);
    return i < 0 ? null : [Math.floor(i / this.about.columns), i % this.about.columns];
  }

  retract(mark: Mark): void {
    mark.retracted = ++clock;
  }

  restore(mark: Mark): void {
    mark.retracted = 0;
  }

  /** Planes that are marked, for the bar beside a volume. */
  get markedPlanes(): Set<number> {
    return new Set(this.counting.filter((mark) => mark.plane != null).map((mark) => mark.plane!));
  }

  repaint(plane: number): void {
    this.plane = plane;
    this.bits.fill(0);
    for (const mark of this.counting) if (mark.plane == null || mark.plane === plane) this.paint(mark, 0);
  }

  /** Put a mark onto the pixels, from one of its points on. */
  paint(mark: Mark, from: number): Box | null {
    const { rows, columns } = this.about;
    const bit = 1 << mark.structure;
    const bits = this.bits;
    if (mark.kind === "raster" && mark.runs) {
      const start = this.plane * rows * columns;
      let at = 0;
      mark.runs.forEach((length, i) => {
        if (i % 2) {
          const end = Math.min(at + length - start, bits.length);
          for (let p = Math.max(0, at - start); p < end; p++) bits[p] |= bit;
        }
        at += length;
      });
      return null;
    }
    if ((mark.kind !== "stroke" && mark.kind !== "erase") || !mark.points) return null;
    const paint = mark.kind === "erase" ? (i: number) => void (bits[i] = 0) : (i: number) => void (bits[i] |= bit);
    const box = paintLine(mark.points, from, mark.width!, rows, columns, paint);
    return mark.filled ? join(box, paintInside(mark.points, rows, columns, paint)) : box;
  }
}

function join(a: Box, b: Box): Box {
  return {
    top: Math.min(a.top, b.top),
    left: Math.min(a.left, b.left),
    bottom: Math.max(a.bottom, b.bottom),
    right: Math.max(a.right, b.right),
  };
}

/** Length of a line in mm, or in pixels where the size of a pixel is not known. */
export function lengthOf(points: Point[], spacing: number[] | null): string {
  const [r, c] = spacing ? spacing.slice(-2) : [1, 1];
  const length = Math.hypot((points[1][0] - points[0][0]) * r, (points[1][1] - points[0][1]) * c);
  return `${length.toFixed(length < 10 ? 1 : 0)} ${spacing ? "mm" : "px"}`;
}
