// Images in memory: samples at full depth, and the picture of a plane under a window. The next images are fetched and
// drawn before they are asked for.

import { SIZES, summed } from "./coding";
import * as server from "./server";
import type { About, Event } from "./types";

type Samples = Uint8Array | Uint16Array | Int16Array | Float32Array;

const KINDS = { u1: Uint8Array, u2: Uint16Array, i2: Int16Array, f4: Float32Array };
const KEPT = 8;
const VOLUME_BYTES = 400 << 20;

export interface Window {
  low: number;
  high: number;
  inverted: boolean;
}

export class Frame {
  private readonly planes = new Map<number, Promise<Samples>>();
  private readonly ready = new Map<number, Samples>();
  private canvas: HTMLCanvasElement | null = null;
  private shown = "";

  constructor(
    readonly about: About,
    readonly waiting: Event[], // what was unsent when the server was asked
  ) {}

  get first(): number {
    const marked = this.about.marks.find((mark) => !mark.retracted && mark.plane != null);
    return marked?.plane ?? this.about.planes >> 1;
  }

  get window(): Window {
    return { low: this.about.window[0], high: this.about.window[1], inverted: false };
  }

  load(plane: number): Promise<Samples> {
    let loading = this.planes.get(plane);
    if (!loading) {
      loading = server.samples(this.about.key, plane).then(async ({ buffer, differences }) => {
        const { type, columns, channels } = this.about;
        const samples = new KINDS[type](differences ? await summed(buffer, SIZES[type], columns, channels) : buffer);
        this.ready.set(plane, samples);
        return samples;
      });
      loading.catch(() => this.planes.delete(plane));
      this.planes.set(plane, loading);
    }
    return loading;
  }

  has(plane: number): boolean {
    return this.ready.has(plane);
  }

  value(plane: number, row: number, column: number): number | null {
    const samples = this.ready.get(plane);
    const { rows, columns, channels } = this.about;
    if (!samples || row < 0 || column < 0 || row >= rows || column >= columns) return null;
    return samples[(row * columns + column) * channels];
  }

  /** The rest of a volume, nearest planes first, as far as memory is sensible. */
  async loadAround(plane: number): Promise<void> {
    const { rows, columns, channels, planes } = this.about;
    const bytes = rows * columns * channels * SIZES[this.about.type];
    const most = Math.min(planes, Math.floor(VOLUME_BYTES / bytes));
    for (let step = 1; step < most; step++) {
      for (const near of [plane - step, plane + step]) {
        if (near >= 0 && near < planes) await this.load(near).catch(() => undefined);
      }
    }
  }

  /** The picture of a plane that was loaded. */
  picture(plane: number, window: Window): HTMLCanvasElement | null {
    const samples = this.ready.get(plane);
    if (!samples) return null;
    const { rows, columns, channels } = this.about;
    const wanted = `${plane} ${window.low} ${window.high} ${window.inverted}`;
    if (this.canvas && this.shown === wanted) return this.canvas;
    if (!this.canvas) {
      this.canvas = document.createElement("canvas");
      this.canvas.width = columns;
      this.canvas.height = rows;
    }
    const context = this.canvas.getContext("2d", { alpha: false })!;
    const image = context.createImageData(columns, rows);
    draw(samples, channels, window, new Uint32Array(image.data.buffer));
    context.putImageData(image, 0, 0);
    this.shown = wanted;
    return this.canvas;
  }
}

function draw(samples: Samples, channels: number, window: Window, out: Uint32Array): void {
  const scale = 255 / Math.max(window.high - window.low, 1e-9);
  const [flip, sign] = window.inverted ? [255, -1] : [0, 1];
  const grey = (value: number) => flip + sign * Math.min(255, Math.max(0, Math.round((value - window.low) * scale)));
  if (samples instanceof Float32Array) {
    for (let i = 0; i < out.length; i++) {
      const [r, g, b] = channels === 1 ? [0, 0, 0] : [0, 1, 2];
      const at = i * channels;
      out[i] = 0xff000000 | (grey(samples[at + b]) << 16) | (grey(samples[at + g]) << 8) | grey(samples[at + r]);
    }
    return;
  }
  const offset = samples instanceof Int16Array ? 32768 : 0;
  const table = new Uint32Array(samples instanceof Uint8Array ? 256 : 65536);
  for (let i = 0; i < table.length; i++) table[i] = grey(i - offset);
  if (channels === 1) {
    for (let i = 0; i < table.length; i++) table[i] = 0xff000000 | (table[i] * 0x010101);
    for (let i = 0; i < out.length; i++) out[i] = table[samples[i] + offset];
    return;
  }
  for (let i = 0; i < out.length; i++) {
    const at = i * 3;
    const [r, g, b] = [table[samples[at] + offset], table[samples[at + 1] + offset], table[samples[at + 2] + offset]];
    out[i] = 0xff000000 | (b << 16) | (g << 8) | r;
  }
}

export class FrameCache {
  private readonly frames = new Map<string, Promise<Frame>>();

  private readonly drawn = new Set<string>();

  constructor(
    private readonly pending: (key: string) => Event[],
    private readonly changed: () => void,
  ) {}

  /** Whether an image is in memory and drawn: it is on the screen as soon as it is asked for. */
  ready(key: string): boolean {
    return this.frames.has(key) && this.drawn.has(key);
  }

  /** The frame with the plane that is shown first; kept until others push it out. */
  get(key: string): Promise<Frame> {
    let frame = this.frames.get(key);
    if (!frame) {
      frame = this.fetch(key);
      frame.catch(() => this.frames.delete(key));
    }
    this.frames.delete(key);
    this.frames.set(key, frame);
    for (const old of [...this.frames.keys()].slice(0, -KEPT)) this.frames.delete(old);
    return frame;
  }

  forget(key: string): void {
    this.frames.delete(key);
    this.drawn.delete(key);
  }

  private async fetch(key: string): Promise<Frame> {
    const waiting = this.pending(key);
    const frame = new Frame(await server.about(key), waiting);
    await frame.load(frame.first);
    frame.picture(frame.first, frame.window);
    this.drawn.add(key);
    this.changed();
    return frame;
  }
}
