// What is on the screen: the image under a window, the ink, outlines and the cursor, under zoom and pan.

import type { Frame, Window } from "./frames";
import { type Layer, lengthOf } from "./layer";
import type { Box } from "./raster";
import type { Mark, Outline, Point, Structure } from "./types";

const INK = 0.55;
const DEEPEST = 40;
const REVEALED = 40; // pixels of the screen between the pen and the edge

export interface Cursor {
  at: Point;
  width: number;
  colour: string;
  cross: boolean;
}

/** Somebody else's ink. */
export interface Other {
  name: string;
  colour: string;
  ink: HTMLCanvasElement;
  at: Point | null; // where the name stands
}

export class View {
  window: Window = { low: 0, high: 255, inverted: false };
  plane = 0;
  zoom = 1;
  private left = 0;
  private top = 0;
  private fitted = true;
  frame: Frame | null = null;
  layer: Layer | null = null;
  grown: Outline[] = [];
  model: Outline[] = [];
  others: Other[] = [];
  cursor: Cursor | null = null;
  draft: Mark | null = null;
  hidden = false;
  private readonly context: CanvasRenderingContext2D;
  private readonly ink = document.createElement("canvas");
  private readonly inkContext: CanvasRenderingContext2D;
  private readonly colours: [number, number, number][];
  private asked = false;
  private waiting: (() => void)[] = [];

  constructor(
    readonly canvas: HTMLCanvasElement,
    readonly structures: Structure[], // the last one is "none of these"
  ) {
    this.context = canvas.getContext("2d", { alpha: false })!;
    this.inkContext = this.ink.getContext("2d")!;
    this.colours = structures.map(({ colour }) => [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16)) as [number, number, number]);
    new ResizeObserver(() => {
      const ratio = devicePixelRatio || 1;
      canvas.width = Math.round(canvas.clientWidth * ratio);
      canvas.height = Math.round(canvas.clientHeight * ratio);
      if (this.fitted) this.fit();
      this.redraw();
    }).observe(canvas);
  }

  show(frame: Frame, layer: Layer, plane: number): void {
    this.frame = frame;
    this.layer = layer;
    this.window = frame.window;
    this.grown = this.model = [];
    this.others = [];
    this.draft = null;
    this.ink.width = frame.about.columns;
    this.ink.height = frame.about.rows;
    this.setPlane(plane);
    this.fit();
  }

  setPlane(plane: number): void {
    this.plane = plane;
    this.layer?.repaint(plane);
    this.grown = this.model = [];
    this.reink();
  }

  /** Pixels are shown as wide and high as they are. */
  private get scale(): [x: number, y: number] {
    const spacing = this.frame?.about.spacing?.slice(-2);
    if (!spacing) return [this.zoom, this.zoom];
    const least = Math.min(...spacing);
    return [(this.zoom * spacing[1]) / least, (this.zoom * spacing[0]) / least];
  }

  fit(): void {
    this.fitted = true;
    this.fill();
    this.redraw();
  }

  private fill(): void {
    if (!this.frame || !this.canvas.clientWidth) return; // hidden: the next frame finds its size
    const { rows, columns } = this.frame.about;
    this.zoom = 1;
    const [x, y] = this.scale;
    this.zoom = Math.max(1e-3, Math.min(this.canvas.clientWidth / (columns * x), this.canvas.clientHeight / (rows * y)));
    const [fx, fy] = this.scale;
    this.left = (this.canvas.clientWidth - columns * fx) / 2;
    this.top = (this.canvas.clientHeight - rows * fy) / 2;
  }

  pan(dx: number, dy: number): void {
    this.left += dx;
    this.top += dy;
    this.fitted = false;
    this.keepInSight();
    this.redraw();
  }

  zoomAt(x: number, y: number, factor: number): void {
    const [row, column] = this.imageAt(x, y);
    this.zoom = Math.min(DEEPEST, Math.max(0.02, this.zoom * factor));
    const [sx, sy] = this.scale;
    this.left = x - (column + 0.5) * sx;
    this.top = y - (row + 0.5) * sy;
    this.fitted = false;
    this.keepInSight();
    this.redraw();
  }

  private keepInSight(): void {
    if (!this.frame) return;
    const [sx, sy] = this.scale;
    const [w, h] = [this.frame.about.columns * sx, this.frame.about.rows * sy];
    const margin = 60;
    this.left = Math.min(this.canvas.clientWidth - margin, Math.max(margin - w, this.left));
    this.top = Math.min(this.canvas.clientHeight - margin, Math.max(margin - h, this.top));
  }

  /** The middle of the canvas. */
  get middle(): [x: number, y: number] {
    return [this.canvas.clientWidth / 2, this.canvas.clientHeight / 2];
  }

  /** Pan as little as is needed to have a point of the image in sight. */
  reveal(point: Point): void {
    const [x, y] = this.screenAt(point);
    const short = (at: number, size: number) => Math.max(0, REVEALED - at) + Math.min(0, size - REVEALED - at);
    const [dx, dy] = [short(x, this.canvas.clientWidth), short(y, this.canvas.clientHeight)];
    if (!this.fitted && (dx || dy)) this.pan(dx, dy);
  }

  /** Row and column under a point of the canvas; whole numbers are centres of pixels. */
  imageAt(x: number, y: number): Point {
    const [sx, sy] = this.scale;
    return [(y - this.top) / sy - 0.5, (x - this.left) / sx - 0.5];
  }

  screenAt([row, column]: Point): [x: number, y: number] {
    const [sx, sy] = this.scale;
    return [this.left + (column + 0.5) * sx, this.top + (row + 0.5) * sy];
  }

  /** Bring the ink up to date in a box, or everywhere. */
  reink(box?: Box | null): void {
    if (!this.layer || !this.frame) return;
    const { rows, columns } = this.frame.about;
    const { top, left, bottom, right } = box ?? { top: 0, left: 0, bottom: rows, right: columns };
    if (top >= bottom || left >= right) return;
    if (!this.layer.counting.length && !this.draft) {
      this.inkContext.clearRect(0, 0, columns, rows);
      return this.redraw();
    }
    const image = this.inkContext.createImageData(right - left, bottom - top);
    const none = this.structures.length - 1;
    const bits = this.layer.bits;
    let at = 0;
    for (let r = top; r < bottom; r++) {
      for (let c = left; c < right; c++, at += 4) {
        const value = bits[r * columns + c];
        if (!value) continue;
        const k = 31 - Math.clz32(value);
        // "None of these" is hatched as well as grey: told apart without any colour.
        const strong = k !== none || (r + c) % 4 < 2;
        const [red, green, blue] = this.colours[Math.min(k, none)];
        image.data.set([red, green, blue, 255 * (strong ? INK + (k === none ? 0.3 : 0) : 0.15)], at);
      }
    }
    this.inkContext.putImageData(image, left, top);
    this.redraw();
  }

  /** Paint at the next frame; `then` is called when it is on the screen. */
  redraw(then?: () => void): void {
    if (then) this.waiting.push(then);
    if (this.asked) return;
    this.asked = true;
    requestAnimationFrame(() => {
      this.asked = false;
      this.paint();
      const waiting = this.waiting;
      this.waiting = [];
      for (const call of waiting) call();
    });
  }

  private paint(): void {
    const { context, canvas, frame } = this;
    const ratio = devicePixelRatio || 1;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = "#000";
    context.fillRect(0, 0, canvas.width, canvas.height);
    if (this.fitted) this.fill();
    const picture = frame?.picture(this.plane, this.window);
    if (!frame || !picture) return;
    const [sx, sy] = this.scale;
    context.setTransform(ratio * sx, 0, 0, ratio * sy, ratio * this.left, ratio * this.top);
    context.imageSmoothingEnabled = sx * ratio < 4;
    context.imageSmoothingQuality = "high";
    context.drawImage(picture, 0, 0);
    if (!this.hidden) {
      context.imageSmoothingEnabled = false;
      for (const other of this.others) context.drawImage(other.ink, 0, 0);
      context.drawImage(this.ink, 0, 0);
    }
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    if (this.hidden) return;
    for (const { name, at } of this.others) if (at) this.write(name, ...this.screenAt(at));
    this.outline(this.model, [2, 4]);
    this.outline(this.grown, []);
    for (const mark of this.layer?.counting ?? []) if (mark.kind === "diameter") this.ruler(mark);
    if (this.draft?.kind === "diameter") this.ruler(this.draft);
    if (this.cursor) this.ring(this.cursor);
  }

  private outline(outlines: Outline[], dash: number[]): void {
    for (const { structure, lines } of outlines) {
      for (const [width, colour, pattern] of [
        [4, "rgb(0 0 0 / 0.65)", []],
        [2, this.structures[structure].colour, dash.map((n) => n * 2)],
      ] as [number, string, number[]][]) {
        this.context.beginPath();
        for (const line of lines) {
          line.forEach((point, i) => {
            const [x, y] = this.screenAt(point);
            if (i) this.context.lineTo(x, y);
            else this.context.moveTo(x, y);
          });
        }
        this.context.lineWidth = width;
        this.context.strokeStyle = colour;
        this.context.setLineDash(pattern);
        this.context.lineJoin = "round";
        this.context.stroke();
      }
    }
    this.context.setLineDash([]);
  }

  private ruler(mark: Mark): void {
    const points = mark.points!;
    if (mark.plane != null && mark.plane !== this.plane) return;
    const ends = points.map((point) => this.screenAt(point));
    const colour = this.structures[mark.structure].colour;
    const context = this.context;
    for (const [width, style] of [[4, "#000"], [1.5, colour]] as [number, string][]) {
      context.lineWidth = width;
      context.strokeStyle = style;
      context.beginPath();
      context.moveTo(...ends[0]);
      context.lineTo(...ends[ends.length - 1]);
      for (const [x, y] of ends) {
        context.moveTo(x + 4, y);
        context.arc(x, y, 4, 0, 7);
      }
      context.stroke();
    }
    if (points.length < 2) return;
    const text = lengthOf(points, this.frame!.about.spacing);
    this.write(text, ...ends[1]);
  }

  private write(text: string, x: number, y: number): void {
    const { context } = this;
    context.font = "600 14px system-ui, sans-serif";
    context.lineWidth = 4;
    context.strokeStyle = "#000";
    context.strokeText(text, x + 10, y - 8);
    context.fillStyle = "#fff";
    context.fillText(text, x + 10, y - 8);
  }

  private ring({ at, width, colour, cross }: Cursor): void {
    const [x, y] = this.screenAt(at);
    const [sx, sy] = this.scale;
    const context = this.context;
    for (const [line, style] of [[3, "rgb(0 0 0 / 0.7)"], [1.5, colour]] as [number, string][]) {
      context.lineWidth = line;
      context.strokeStyle = style;
      context.beginPath();
      context.ellipse(x, y, Math.max(2, (width / 2) * sx), Math.max(2, (width / 2) * sy), 0, 0, 7);
      if (cross) {
        const reach = Math.max(2, (width / 2) * sx) + 4;
        for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
          context.moveTo(x + dx * reach, y + dy * reach);
          context.lineTo(x + dx * (reach + 14), y + dy * (reach + 14));
        }
      }
      context.stroke();
    }
  }
}
