// Building the page out of elements: no markup from strings ever reaches it.

type Child = Node | string | null;

export function el<K extends keyof HTMLElementTagNameMap>(
  name: K,
  attributes: Record<string, string> = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children.filter((child) => child !== null));
  return element;
}

const PATHS: Record<string, string> = {
  brush: "M4 20c3 0 5-1 5-4a3 3 0 0 1 3-3l8-9-9 8a3 3 0 0 0-3 3c-1 3-2 4-4 5z",
  erase: "M8 20h12M5 14l8-9 6 5-8 9H8z",
  none: "M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16zM6.5 6.5l11 11",
  ruler: "M5 19L19 5M4 16l4 4M16 4l4 4M10 11l2 2M13 8l2 2",
  window: "M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16zM12 4v16a8 8 0 0 0 0-16z",
  undo: "M9 6L4 11l5 5M4 11h10a5 5 0 0 1 0 10h-3",
  redo: "M15 6l5 5-5 5M20 11H10a5 5 0 0 0 0 10h3",
  fit: "M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5",
  invert: "M4 4h16v16H4zM4 20L20 4v16z",
  grow: "M12 9a3 3 0 1 0 0 6 3 3 0 0 0 0-6zM12 3v3M12 18v3M3 12h3M18 12h3M5.5 5.5l2 2M16.500 16.500l2 2M5.500 18.500l2-2M16.500 7.500l2-2",
  model: "M4 12c2-6 14-8 16-2s-4 9-9 9-8-3-7-7z",
  eye: "M3 12c3-5 6-7 9-7s6 2 9 7c-3 5-6 7-9 7s-6-2-9-7zM12 9a3 3 0 1 0 0 6 3 3 0 0 0 0-6z",
  theme: "M12 7a5 5 0 1 0 0 10 5 5 0 0 0 0-10zM12 2v2M12 20v2M2 12h2M20 12h2",
  help: "M9 9a3 3 0 1 1 4 3c-1 .5-1 1-1 2M12 17.500v.5",
  back: "M14 6l-6 6 6 6",
};

export function icon(name: string): SVGSVGElement {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  for (const [key, value] of Object.entries({ viewBox: "0 0 24 24", "aria-hidden": "true", class: "icon" })) svg.setAttribute(key, value);
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}

export interface ButtonOptions {
  icon?: string;
  text?: string; // with its key beside it
  label?: string; // under the icon
  key?: string;
  id?: string;
  kind?: string;
}

/** A button that hands the keyboard back to the image after a click with a pointer. */
export function button(label: string, options: ButtonOptions, act: () => void): HTMLButtonElement {
  const attributes: Record<string, string> = { type: "button", "aria-label": label };
  attributes.title = options.key ? `${label} (${options.key})` : label;
  if (options.key) attributes["aria-keyshortcuts"] = options.key;
  if (options.id) attributes.id = options.id;
  if (options.kind) attributes.class = options.kind;
  const element = el(
    "button",
    attributes,
    options.icon ? icon(options.icon) : null,
    options.text ? el("span", {}, options.text) : null,
    options.label ? el("span", {}, options.label) : null,
    options.text && options.key ? el("kbd", {}, options.key) : null,
  );
  element.addEventListener("click", (event) => {
    act();
    if (event.detail > 0) element.blur();
  });
  return element;
}
