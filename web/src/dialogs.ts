// What stands before the page for a moment: the keys, reasons, the team, strokes that were refused.

import { button, el } from "./dom";
import * as server from "./server";
import type { Refusal, Session } from "./types";

const REASONS = ["poor image quality", "not fully in view", "border not visible", "needs another examination"];

const KEYS: [string, string][] = [
  ["Space", "next image"],
  ["Backspace", "image before"],
  ["1 to 9", "structure"],
  ["[  ]", "smaller, larger brush"],
  ["B", "brush"],
  ["E", "erase"],
  ["X", "not any of these"],
  ["D", "diameter"],
  ["Z  Shift+Z", "undo, redo (also Ctrl+Z, Ctrl+Y)"],
  ["N", "nothing here"],
  ["T", "can't tell"],
  ["S", "skip"],
  ["F", "fit to window"],
  ["I", "invert"],
  ["W", "window and level by drag (or the right mouse button) or arrows"],
  ["H", "hide all ink while held (the button: until the next stroke)"],
  ["G", "grown shape"],
  ["M", "model's outline, after the first stroke"],
  ["R  C", "the model's outline is right, or I correct it"],
  ["arrows, Enter", "move the pen, put it down and lift it (Shift: 10 pixels)"],
  ["+  -", "zoom"],
  ["wheel", "zoom; in a volume the wheel turns slices, Ctrl+wheel zooms"],
  ["Space+drag", "pan"],
  ["one finger", "draws; once a pen was used it pans"],
  ["two fingers", "zoom and pan"],
  ["Page up, down", "slice"],
];

export const closing = (dialog: HTMLDialogElement) => button("Close", { text: "Close", key: "Esc" }, () => dialog.close());

export function helpDialog(): HTMLDialogElement {
  const dialog = el("dialog", { "aria-label": "keys", class: "help" });
  const list = el("dl");
  for (const [key, what] of KEYS) list.append(el("div", {}, el("dt", {}, el("kbd", {}, key)), el("dd", {}, what)));
  dialog.append(el("h2", {}, "Keys and gestures"), list, closing(dialog));
  return dialog;
}

export function cantTellDialog(chosen: (reason: string) => void): HTMLDialogElement {
  const dialog = el("dialog", { "aria-label": "can't tell" });
  const other = el("input", { placeholder: "another reason", "aria-label": "another reason", maxlength: "200" });
  const choose = (reason: string) => {
    dialog.close();
    chosen(reason);
  };
  const form = el("form", { method: "dialog" }, el("h2", {}, "Can't tell, because of"));
  REASONS.forEach((reason, i) => form.append(button(reason, { text: reason, key: String(i + 1) }, () => choose(reason))));
  form.append(other, el("menu", {}, button("Cancel", { text: "Cancel", key: "Esc" }, () => dialog.close())));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (other.value.trim()) choose(other.value.trim());
  });
  dialog.addEventListener("keydown", (event) => {
    if (event.target === other) return;
    const reason = REASONS[Number(event.key) - 1];
    if (reason) choose(reason);
  });
  dialog.append(form);
  return dialog;
}

export async function showTeam(dialog: HTMLDialogElement): Promise<void> {
  const { people, images, agreement } = await server.everybody();
  const row = (kind: "td" | "th", cells: (string | number)[]) => el("tr", {}, ...cells.map((cell) => el(kind, {}, String(cell))));
  const rows = people.map((each) =>
    row("td", [each.name, each.done, each.unsure, each.seconds ?? "-", each.accepted, each.returned]),
  );
  const text = agreement.dice === null ? "no image was marked by two yet" : `Dice ${agreement.dice} over ${agreement.pairs} ${agreement.pairs === 1 ? "pair" : "pairs"}`;
  dialog.replaceChildren(
    el("h2", {}, images === 1 ? "Team: 1 image" : `Team: ${images} images`),
    el("table", {}, row("th", ["name", "done", "can't tell", "s an image", "accepted", "sent back"]), ...rows),
    el("p", {}, `Agreement of what marks grow to: ${text}.`),
    closing(dialog),
  );
  dialog.showModal();
}

/** What the server refused for good, with the reasons; it can be saved as a file before it is put away. */
export function showRefused(dialog: HTMLDialogElement, session: Session, refused: Refusal[], putAway: () => void): void {
  const reasons = new Map<string, number>();
  for (const { reason } of refused) reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
  const list = [...reasons].map(([reason, count]) => el("li", {}, `${count} of them: ${reason}`));
  const done = button("Put them away", { text: "Put them away" }, () => {
    putAway();
    dialog.close();
  });
  done.disabled = true;
  const save = button("Save them as a file", { text: "Save them as a file", kind: "primary" }, () => {
    const { study, user, structures } = session;
    const content = { study, user, structures: structures.map(({ name }) => name), refused };
    const address = URL.createObjectURL(new Blob([JSON.stringify(content, null, 1)], { type: "application/json" }));
    el("a", { href: address, download: "refused-strokes.json" }).click();
    setTimeout(() => URL.revokeObjectURL(address), 60_000);
    done.disabled = false;
  });
  dialog.replaceChildren(
    el("h2", {}, `${refused.length} ${refused.length === 1 ? "thing" : "things"} could not be stored`),
    el("ul", {}, ...list),
    el("p", {}, "They stay in this browser until you put them away. Save them first, and hand the file to who keeps the study."),
    el("menu", {}, save, done, closing(dialog)),
  );
  dialog.showModal();
}
