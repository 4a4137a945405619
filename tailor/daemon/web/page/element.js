/** Elements. Text is only ever set as text: names and errors may hold anything. */

const SVG = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(name, value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, String(value));
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

/** An element: attributes by name, functions as listeners of the event they are called by; strings become text. */
export function make(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** An element of a drawing. */
export function draw(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

/** Sets text where it is another, so that nothing is announced or laid out anew for nothing. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Puts `children` into `node` in their order; those that stand there already are not taken out, so that focus stays where it is. */
export function setChildren(node, children) {
  const wanted = new Set(children);
  for (const child of [...node.childNodes]) if (!wanted.has(child)) child.remove();
  children.forEach((child, place) => {
    if (node.childNodes[place] !== child) node.insertBefore(child, node.childNodes[place] ?? null);
  });
}

/** A list of terms and what they are: rows of [term, text or node]. */
export function facts(rows) {
  return make(
    "dl",
    { class: "facts" },
    rows.map(([term, value]) => make("div", {}, make("dt", {}, term), make("dd", {}, value))),
  );
}

/** A part of a view, called by its heading. */
export function section(id, title, ...children) {
  return make("section", { "aria-labelledby": id }, make("h2", { id }, title), ...children);
}

/** A moment, told in local time, for people and for programs. */
export function timeOf(iso, text) {
  return iso ? make("time", { datetime: iso }, text) : "";
}

/** Says a thing to those who listen to the page. */
export function announce(text) {
  document.getElementById("announcements").textContent = text;
}
