// The pixels of a stroke, by the same arithmetic as tallymark.data.strokes: what is seen is what is stored.

import type { Point } from "./types";

export interface Box {
  top: number;
  left: number;
  bottom: number; // exclusive
  right: number; // exclusive
}

export type Paint = (index: number) => void;

const nearest = (x: number) => Math.floor(x + 0.5);

/** Call `paint` for every pixel under a round pen that is drawn along a line; returns the box that was touched. */
export function paintLine(points: Point[], from: number, width: number, rows: number, columns: number, paint: Paint): Box {
  const touched: Box = { top: rows, left: columns, bottom: 0, right: 0 };
  const reach = width / 2 + 1e-9;
  const grow = (top: number, left: number, bottom: number, right: number) => {
    touched.top = Math.min(touched.top, top);
    touched.left = Math.min(touched.left, left);
    touched.bottom = Math.max(touched.bottom, bottom);
    touched.right = Math.max(touched.right, right);
  };
  for (let i = from; i < Math.max(points.length - 1, 1); i++) {
    const [r0, c0] = points[i];
    const [r1, c1] = points[Math.min(i + 1, points.length - 1)];
    const top = Math.max(0, Math.floor(Math.min(r0, r1) - width / 2));
    const left = Math.max(0, Math.floor(Math.min(c0, c1) - width / 2));
    const bottom = Math.min(rows, Math.ceil(Math.max(r0, r1) + width / 2) + 1);
    const right = Math.min(columns, Math.ceil(Math.max(c0, c1) + width / 2) + 1);
    if (top >= bottom || left >= right) continue;
    grow(top, left, bottom, right);
    const dr = r1 - r0;
    const dc = c1 - c0;
    const length = Math.max(dr * dr + dc * dc, 1e-12);
    for (let r = top; r < bottom; r++) {
      for (let c = left; c < right; c++) {
        const share = Math.min(1, Math.max(0, ((r - r0) * dr + (c - c0) * dc) / length));
        const er = r - r0 - share * dr;
        const ec = c - c0 - share * dc;
        if (Math.sqrt(er * er + ec * ec) <= reach) paint(r * columns + c);
      }
    }
  }
  for (let i = from; i < points.length; i++) {
    const r = nearest(points[i][0]);
    const c = nearest(points[i][1]);
    if (r < 0 || c < 0 || r >= rows || c >= columns) continue;
    grow(r, c, r + 1, c + 1);
    paint(r * columns + c);
  }
  return touched;
}

/** Call `paint` for every pixel whose centre a closed line goes around an odd number of times. */
export function paintInside(points: Point[], rows: number, columns: number, paint: Paint): Box {
  const inside = new Uint8Array(rows * columns);
  let top = rows;
  let bottom = 0;
  points.forEach(([row, column], i) => {
    const [nextRow, nextColumn] = points[(i + 1) % points.length];
    const low = Math.max(0, Math.floor(Math.min(row, nextRow)) + 1);
    const high = Math.min(rows - 1, Math.floor(Math.max(row, nextRow)));
    for (let r = low; r <= high; r++) {
      const crossing = column + ((r - row) / (nextRow - row)) * (nextColumn - column);
      const end = Math.min(columns, Math.max(0, Math.ceil(crossing)));
      for (let c = 0; c < end; c++) inside[r * columns + c] ^= 1;
    }
    top = Math.min(top, low);
    bottom = Math.max(bottom, high + 1);
  });
  for (let i = Math.max(0, top) * columns; i < bottom * columns; i++) if (inside[i]) paint(i);
  return { top: Math.max(0, top), left: 0, bottom, right: columns };
}
