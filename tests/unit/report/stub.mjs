// Runs the script of a page of `rot5 inspect` on a stand-in for the browser: prints what every view says when it is used.
import { readFileSync } from "node:fs";
import vm from "node:vm";

class Element {
  constructor(tag) {
    Object.assign(this, { tag, children: [], attributes: {}, listeners: {}, properties: {}, classes: new Set(), tabIndex: 0 });
    this.style = { setProperty: (name, value) => (this.properties[name] = value) };
    this.classList = { toggle: (name, on) => (on ? this.classes.add(name) : this.classes.delete(name)) };
  }
  setAttribute(name, value) { this.attributes[name] = value; }
  append(...children) { this.children.push(...children); }
  replaceChildren(...children) { this.children = children; }
  addEventListener(event, listener) { (this.listeners[event] ??= []).push(listener); }
  fire(event, settings = {}) {
    for (const listener of this.listeners[event] ?? []) listener({ preventDefault() {}, ...settings });
  }
  focus() { this.fire("focus"); focused = this; }
  get textContent() { return this.children.map((child) => child.textContent ?? child).join(""); }
  set textContent(text) { this.children = [text]; }
  all(tag) {
    const inner = this.children.filter((child) => child instanceof Element);
    return [...inner.filter((child) => child.tag === tag), ...inner.flatMap((child) => child.all(tag))];
  }
}

let focused = null;
const page = readFileSync(process.argv[2], "utf8");
const [, data] = page.match(/<script type="application\/json" id="data">(.*?)<\/script>/s);
const [, script] = page.match(/<script>(.*?)<\/script>/s);
const places = { attention: new Element("div"), attribution: new Element("div") };
if (page.includes('id="experts"')) places.experts = new Element("div");
const document = {
  createElement: (tag) => new Element(tag),
  getElementById: (name) => (name === "data" ? { textContent: data } : (places[name] ?? null)),
};
vm.runInNewContext(script, { document, Blob, Response, DecompressionStream, Uint8Array, atob });

const rest = () => new Promise((resolve) => setTimeout(resolve, 50));
const said = (place) => place.all("p").find((line) => line.attributes.class === "said").textContent;
const button = (place, text) => place.all("button").find((each) => each.textContent.trim() === text);
await rest();
const found = { first: said(places.attention), layers: places.attention.all("tr").length - 1 };
const grid = places.attention.all("table")[0].all("button");
grid[0].fire("keydown", { key: "ArrowDown" });
focused.fire("click");
found.next_layer = said(places.attention);
button(places.attention, "Cross-attention").fire("click");
await rest();
places.attention.all("fieldset")[1].all("button")[1].focus();
found.cross = said(places.attention);
found.tints = places.attention.all("span").map((span) => span.properties["--share"]);
found.names = places.attention.all("button").map((each) => each.attributes["aria-label"] ?? each.textContent);
places.attribution.all("fieldset")[1].all("button")[0].fire("mouseenter");
found.attribution = said(places.attribution);
found.methods = places.attribution.all("fieldset")[0].all("button").map((each) => each.textContent);
found.experts = places.experts?.all("sub").map((each) => each.textContent) ?? null;
console.log(JSON.stringify(found));
