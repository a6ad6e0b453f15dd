// The hand on the image: mouse, pen, touch and keyboard become strokes, pans, zooms and windows.

import type { Mark, Point } from "./types";
import { paintLine } from "./raster";
import type { Work } from "./work";

const CLOSEST = 0.3; // corners of a stroke are at least so many pixels of the screen apart
const MOST_POINTS = 15_000;
const SLICE_PX = 40;

type Gesture =
  | { kind: "draw"; pointer: number; mark: Mark }
  | { kind: "pan"; pointer: number; x: number; y: number }
  | { kind: "window"; pointer: number; x: number; y: number; low: number; high: number }
  | { kind: "pinch" };

export class Hand {
  private gesture: Gesture | null = null;
  private readonly touches = new Map<number, [number, number]>();
  private penSeen = sessionStorage.getItem("pen") !== null;
  private turned = 0; // by the wheel, since the last slice
  private spaceDown = false;
  private spaceUsed = false;
  private keyPen: { at: Point; mark: Mark | null } | null = null;

  constructor(
    private readonly work: Work,
    private readonly canvas: HTMLCanvasElement,
    private readonly say: (text: string) => void,
  ) {
    canvas.addEventListener("pointerdown", (event) => this.down(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    canvas.addEventListener("pointerup", (event) => this.up(event));
    canvas.addEventListener("pointercancel", (event) => this.cancel(event));
    canvas.addEventListener("pointerleave", () => this.hover(null));
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    canvas.addEventListener("dblclick", (event) => event.preventDefault());
    work.settle = () => this.settle();
  }

  private place(event: MouseEvent): [number, number] {
    const box = this.canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  private point(event: MouseEvent): Point {
    const [row, column] = this.work.view.imageAt(...this.place(event));
    return [Math.round(row * 100) / 100, Math.round(column * 100) / 100];
  }

  private down(event: PointerEvent): void {
    const { work } = this;
    if (!work.current) return;
    work.hear();
    event.preventDefault();
    this.canvas.focus({ preventScroll: true });
    this.canvas.setPointerCapture(event.pointerId);
    if (event.pointerType === "pen") this.seePen();
    if (event.pointerType === "touch") {
      this.touches.set(event.pointerId, this.place(event));
      // A palm that lies down beside the pen ends no stroke.
      if (this.touches.size === 2 && !(this.gesture?.kind === "draw" && !this.touches.has(this.gesture.pointer))) {
        this.drop();
        this.gesture = { kind: "pinch" };
        return;
      }
    }
    if (this.gesture) return;
    const finger = event.pointerType === "touch" && this.penSeen;
    if (this.spaceDown || event.button === 1 || finger) {
      this.spaceUsed = this.spaceUsed || this.spaceDown;
      const [x, y] = this.place(event);
      this.gesture = { kind: "pan", pointer: event.pointerId, x, y };
      this.canvas.dataset.gesture = "pan";
    } else if (event.button === 2 || work.tool === "window") {
      const [x, y] = this.place(event);
      const { low, high } = work.view.window;
      this.gesture = { kind: "window", pointer: event.pointerId, x, y, low, high };
    } else if (event.button === 0 || event.button === 5) {
      const kind = event.button === 5 || work.tool === "erase" ? "erase" : work.tool === "ruler" ? "diameter" : "stroke";
      this.start(kind, this.point(event), event.pointerId);
    }
  }

  /** From now on fingers pan; a palm that was there first gives way. */
  private seePen(): void {
    this.penSeen = true;
    sessionStorage.setItem("pen", "seen");
    if (this.gesture?.kind === "pinch" || (this.gesture && this.touches.has(this.gesture.pointer))) this.drop();
  }

  private start(kind: "stroke" | "erase" | "diameter", at: Point, pointer: number): Mark {
    const mark = this.work.mark(kind, [at]);
    mark.filled = false;
    this.gesture = { kind: "draw", pointer, mark };
    this.work.view.draft = mark;
    this.work.view.grown = [];
    this.work.view.hidden = false;
    this.extend(mark, 0);
    return mark;
  }

  private extend(mark: Mark, from: number): void {
    if (mark.kind === "diameter") this.work.view.redraw();
    else this.work.view.reink(this.work.current!.layer.paint(mark, from));
  }

  private move(event: PointerEvent): void {
    const { work, gesture } = this;
    if (!work.current) return;
    this.hover(event);
    if (event.pointerType === "touch" && this.touches.has(event.pointerId)) {
      const before = [...this.touches.values()];
      this.touches.set(event.pointerId, this.place(event));
      if (gesture?.kind === "pinch" && before.length >= 2) return this.pinch(before, [...this.touches.values()]);
    }
    if (!gesture || gesture.kind === "pinch" || gesture.pointer !== event.pointerId) return;
    if (gesture.kind === "pan") {
      const [x, y] = this.place(event);
      work.view.pan(x - gesture.x, y - gesture.y);
      Object.assign(gesture, { x, y });
    } else if (gesture.kind === "window") {
      const [x, y] = this.place(event);
      const { range } = work.current.frame.about;
      const step = (range[1] - range[0]) / 600;
      this.shift(2 * step * (x - gesture.x), step * (y - gesture.y), gesture);
    } else this.draw(gesture.mark, event);
  }

  /** Widen the window and raise its level, by values of the image. */
  private shift(wider: number, higher: number, from: { low: number; high: number } = this.work.view.window): void {
    const { work } = this;
    const { range } = work.current!.frame.about;
    const width = Math.max((range[1] - range[0]) / 600, from.high - from.low + wider);
    const level = (from.high + from.low) / 2 + higher;
    work.setWindow({ ...work.view.window, low: level - width / 2, high: level + width / 2 });
  }

  private draw(mark: Mark, event: PointerEvent): void {
    const events = event.getCoalescedEvents?.() ?? [];
    const points = mark.points!;
    const from = points.length - 1;
    for (const each of events.length ? events : [event]) {
      const at = this.point(each);
      if (mark.kind === "diameter") {
        points[1] = at;
        continue;
      }
      const [row, column] = points[points.length - 1];
      const apart = Math.hypot(at[0] - row, at[1] - column) * this.work.view.zoom;
      if (apart >= CLOSEST && points.length < MOST_POINTS) points.push(at);
    }
    this.extend(mark, from);
  }

  private up(event: PointerEvent): void {
    this.touches.delete(event.pointerId);
    const gesture = this.gesture;
    if (gesture?.kind === "pinch") {
      if (this.touches.size === 0) this.gesture = null;
      return;
    }
    if (!gesture || gesture.pointer !== event.pointerId) return;
    this.gesture = null;
    delete this.canvas.dataset.gesture;
    this.work.hear();
    if (gesture.kind === "draw") this.finish(gesture.mark);
  }

  private finish(mark: Mark): void {
    const { work } = this;
    work.view.draft = null;
    const { rows, columns } = work.current!.frame.about;
    let touches = 0;
    paintLine(mark.points!, 0, mark.width!, rows, columns, () => touches++);
    if (mark.kind === "diameter" ? mark.points!.length < 2 : !touches) return work.view.redraw();
    mark.filled = work.session.filled && mark.kind !== "diameter" && mark.points!.length > 2;
    if (mark.filled) work.view.reink(work.current!.layer.paint(mark, 0));
    work.keep(mark);
    work.view.redraw();
  }

  private cancel(event: PointerEvent): void {
    this.touches.delete(event.pointerId);
    if (event.pointerType === "pen") return this.settle();
    this.drop();
  }

  /** End a stroke that is being drawn where it is: it belongs to the image that is on the screen. */
  private settle(): void {
    if (this.gesture?.kind !== "draw") return;
    const { mark } = this.gesture;
    this.gesture = null;
    if (this.keyPen) this.keyPen.mark = null;
    this.finish(mark);
  }

  /** Give up a stroke that was not finished. */
  private drop(): void {
    if (this.gesture?.kind === "draw") {
      this.work.view.draft = null;
      this.work.current?.layer.repaint(this.work.view.plane);
      this.work.view.reink();
    }
    this.gesture = null;
  }

  private pinch(before: [number, number][], after: [number, number][]): void {
    const middle = (points: [number, number][]) => [(points[0][0] + points[1][0]) / 2, (points[0][1] + points[1][1]) / 2];
    const apart = (points: [number, number][]) => Math.hypot(points[0][0] - points[1][0], points[0][1] - points[1][1]);
    const [x0, y0] = middle(before);
    const [x1, y1] = middle(after);
    this.work.view.pan(x1 - x0, y1 - y0);
    if (apart(before) > 0) this.work.view.zoomAt(x1, y1, apart(after) / apart(before));
  }

  private wheel(event: WheelEvent): void {
    event.preventDefault();
    const { work } = this;
    if (!work.current) return;
    work.hear();
    const volume = work.current.frame.about.planes > 1;
    if (volume && !event.ctrlKey && !event.shiftKey) {
      // A notch of a wheel is a slice, and so is as long a way on a touchpad.
      this.turned += event.deltaMode === 0 ? event.deltaY : SLICE_PX * Math.sign(event.deltaY);
      if (Math.abs(this.turned) < SLICE_PX) return;
      work.setPlane(work.view.plane + Math.sign(this.turned));
      this.turned = 0;
      return;
    }
    const step = event.deltaMode === 0 ? event.deltaY || event.deltaX : 33 * (event.deltaY || event.deltaX);
    work.view.zoomAt(...this.place(event), Math.exp(-step * (event.ctrlKey ? 0.01 : 0.0015)));
  }

  /** Zoom about the cursor, or about the middle where there is none. */
  zoom(factor: number): void {
    const { view, current } = this.work;
    if (!current) return;
    const at = view.cursor ? view.screenAt(view.cursor.at) : view.middle;
    view.zoomAt(...at, factor);
  }

  hover(event: MouseEvent | null): void {
    const { work } = this;
    if (this.keyPen && event) this.keyPen = null;
    if (this.keyPen) return;
    work.view.cursor = event && work.current && work.tool !== "window" ? this.cursorAt(this.point(event), false) : null;
    work.view.redraw();
  }

  private cursorAt(at: Point, cross: boolean) {
    const { work } = this;
    const colour = work.tool === "erase" ? "#ffffff" : work.structures[work.target].colour;
    return { at, width: work.tool === "ruler" ? 3 : work.width, colour, cross };
  }

  /** The brush changed: show it where it is. */
  recolour(): void {
    const at = this.work.view.cursor?.at;
    if (at) this.work.view.cursor = this.cursorAt(at, this.keyPen !== null);
    this.work.view.redraw();
  }

  spaceKey(down: boolean): "next" | null {
    if (down) {
      if (!this.spaceDown) this.spaceUsed = false;
      this.spaceDown = true;
      return null;
    }
    const next = this.spaceDown && !this.spaceUsed && !this.gesture;
    this.spaceDown = false;
    return next ? "next" : null;
  }

  /** Arrow keys move a cross; Enter puts the pen down and lifts it. */
  arrow(dr: number, dc: number): void {
    const { work } = this;
    if (!work.current) return;
    const { rows, columns, range } = work.current.frame.about;
    if (work.tool === "window") return this.shift((dc * (range[1] - range[0])) / 100, (dr * (range[1] - range[0])) / 100);
    const pen = (this.keyPen ??= { at: work.view.cursor?.at ?? [(rows - 1) / 2, (columns - 1) / 2], mark: null });
    const at: Point = [
      Math.min(rows - 1, Math.max(0, Math.round(pen.at[0]) + dr)),
      Math.min(columns - 1, Math.max(0, Math.round(pen.at[1]) + dc)),
    ];
    pen.at = at;
    if (pen.mark) {
      if (pen.mark.kind === "diameter") pen.mark.points![1] = at;
      else pen.mark.points!.push(at);
      this.extend(pen.mark, pen.mark.points!.length - 2);
    }
    work.view.cursor = this.cursorAt(at, true);
    work.view.reveal(at);
    work.view.redraw();
  }

  pen(): void {
    const { work } = this;
    if (!work.current || this.gesture) return this.liftPen();
    this.arrow(0, 0);
    const kind = work.tool === "erase" ? "erase" : work.tool === "ruler" ? "diameter" : "stroke";
    this.keyPen!.mark = this.start(kind, this.keyPen!.at, -1);
    this.say("pen down; arrow keys draw, Enter lifts it");
  }

  private liftPen(): void {
    if (this.gesture?.kind !== "draw" || this.gesture.pointer !== -1) return;
    this.settle();
    this.say("pen up");
  }

  escape(): void {
    if (this.keyPen) this.keyPen.mark = null;
    this.drop();
  }
}
