"use strict";
// Lays the maps of a look inside open. All text goes into the page as text, never as markup.

const LEVELS = 255;
const MOST_NAMED = 6;

function make(tag, settings, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(settings)) {
    made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

// A fieldset of buttons, one of which is pressed.
function choices(legend, names, choose) {
  const buttons = names.map((name) => make("button", { type: "button", "aria-pressed": "false" }, name));
  const press = (chosen) => {
    buttons.forEach((button, n) => button.setAttribute("aria-pressed", String(n === chosen)));
    choose(chosen);
  };
  buttons.forEach((button, n) => button.addEventListener("click", () => press(n)));
  const box = make("fieldset", {}, make("legend", {}, legend), ...buttons.flatMap((button) => [button, " "]));
  walkable(buttons, 1);
  return { box, press };
}

// One stop for Tab; arrow keys lead from button to button, up and down by whole rows.
function walkable(buttons, columns) {
  const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns };
  const stop = (chosen) => buttons.forEach((button, n) => (button.tabIndex = n === chosen ? 0 : -1));
  buttons.forEach((button, n) => {
    button.addEventListener("focus", () => stop(n));
    button.addEventListener("keydown", (event) => {
      const next = { Home: 0, End: buttons.length - 1 }[event.key] ?? n + steps[event.key];
      if (buttons[next]) {
        event.preventDefault();
        buttons[next].focus();
      }
    });
  });
  stop(0);
}

// A line of buttons that tell their number when they are pointed at, focused or pressed; one is pressed from the start.
function askable(label, texts, show, first) {
  const buttons = texts.map((text) => make("button", { type: "button", "aria-label": shown(text) }, visible(text)));
  const press = (chosen) => buttons.forEach((each, n) => each.setAttribute("aria-pressed", String(n === chosen)));
  buttons.forEach((button, n) => {
    for (const event of ["mouseenter", "focus", "click"]) {
      button.addEventListener(event, () => {
        press(n);
        show(n);
      });
    }
  });
  press(first);
  walkable(buttons, 1);
  return make("fieldset", { class: "tokens" }, make("legend", {}, label), ...buttons);
}

function answering(label, texts) {
  const spans = texts.map((text) => make("span", { class: "tinted" }, visible(text)));
  return { spans, box: make("div", { class: "tokens", role: "group", "aria-label": label }, ...spans) };
}

const visible = (text) => text.replaceAll("\n", "↵\n") || "·";
const shown = (text) => text.trim() || JSON.stringify(text);

function tint(spans, values) {
  const most = Math.max(...values.map((value) => Math.abs(value ?? 0)), 1e-9);
  spans.forEach((span, n) => {
    const value = values[n] ?? 0;
    span.style.setProperty("--share", String(Math.sqrt(Math.abs(value) / most)));
    span.classList.toggle("lowered", value < 0);
    span.title = value.toFixed(3);
  });
}

function largest(texts, values) {
  const order = values.map((value, n) => n).filter((n) => values[n]);
  order.sort((a, b) => Math.abs(values[b]) - Math.abs(values[a]));
  return order.slice(0, MOST_NAMED).map((n) => `“${shown(texts[n])}” ${values[n].toFixed(2)}`).join(", ") || "nothing";
}

const saying = () => make("p", { class: "said", role: "status" });

// Words with a space between, unless they are signs.
const spaced = (words, kinds) => words.map((word, n) => (n && kinds[n] !== "punctuation" ? ` ${word}` : word));

async function unpack(map) {
  const packed = Uint8Array.from(atob(map.bytes), (sign) => sign.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// Weights of one query: square roots in whole steps, behind each other by layer, head and query.
function weightsOf(levels, shape, layer, head, query) {
  const [, heads, queries, keys] = shape;
  const start = ((layer * heads + head) * queries + query) * keys;
  return Array.from(levels.subarray(start, start + keys), (level) => (level / LEVELS) ** 2);
}

function headGrid(heads, choose) {
  const count = heads.labels[0].length;
  const buttons = heads.labels.flatMap((layer, l) =>
    layer.map((label, h) => {
      const share = heads.shares[l][h][heads.kinds.indexOf(label)] ?? 0;
      const told = share ? `${label} ${share.toFixed(2)}` : label;
      const button = make(
        "button",
        { type: "button", class: "tinted", "aria-pressed": "false", "aria-label": `layer ${l}, head ${h}: ${told}` },
        told,
      );
      button.style.setProperty("--share", String(share));
      return button;
    }),
  );
  const press = (chosen) => {
    buttons.forEach((button, n) => button.setAttribute("aria-pressed", String(n === chosen)));
    choose(Math.floor(chosen / count), chosen % count);
  };
  buttons.forEach((button, n) => button.addEventListener("click", () => press(n)));
  walkable(buttons, count);
  const top = make("tr", {}, make("td", {}), ...heads.labels[0].map((_, h) => make("th", { scope: "col" }, `head ${h}`)));
  const rows = heads.labels.map((_, l) => {
    const cells = buttons.slice(l * count, (l + 1) * count).map((button) => make("td", {}, button));
    return make("tr", {}, make("th", { scope: "row" }, `layer ${l}`), ...cells);
  });
  const table = make("table", { class: "grid" }, make("thead", {}, top), make("tbody", {}, ...rows));
  const box = make("div", { class: "scroll", role: "region", "aria-label": "Layers and heads", tabindex: "0" }, table);
  return { box, press };
}

function attentionView(data, place) {
  const stacks = [
    ["encoder", "Encoder", "source", "source"],
    ["decoder", "Decoder", "decoder", "decoder"],
    ["cross", "Cross-attention", "target", "source"],
  ];
  const inside = make("div", {});
  const stackChoice = choices("Attention of", stacks.map(([, title]) => title), async (chosen) => {
    const [stack, title, from, to] = stacks[chosen];
    const map = data.attention[stack];
    const levels = (map.levels ??= await unpack(map));
    const [queries, keys] = [data.tokens[from].texts, data.tokens[to].texts];
    const line = saying();
    const answers = answering(`${title}: what it looks at`, keys);
    let [layer, head, query] = [0, 0, Math.min(1, queries.length - 1)];
    const show = () => {
      const weights = weightsOf(levels, map.shape, layer, head, query);
      tint(answers.spans, weights);
      line.textContent = `Layer ${layer}, head ${head}: “${shown(queries[query])}” looks at ${largest(keys, weights)}.`;
    };
    const grid = headGrid(data.heads[stack], (l, h) => ([layer, head] = [l, h]) && show());
    const asked = askable(stack === "cross" ? "While it writes" : "From", queries, (n) => ((query = n), show()), query);
    inside.replaceChildren(grid.box, asked, line, make("h3", {}, "It looks at"), answers.box);
    grid.press(0);
  });
  place.replaceChildren(stackChoice.box, inside);
  stackChoice.press(0);
}

function attributionView(data, place) {
  const methods = Object.values(data.attribution);
  const { source, target } = data.tokens;
  const line = saying();
  const answers = answering("Words of the text", spaced(source.words, source.kinds));
  let [method, word] = [0, 0];
  const show = () => {
    const values = methods[method].words[word];
    tint(answers.spans, values);
    line.textContent = `“${shown(target.words[word])}” hangs on ${largest(source.words, values)}.`;
  };
  const choice = choices("By", methods.map(({ title }) => title), (chosen) => ((method = chosen), show()));
  const asked = askable("Written word", spaced(target.words, target.kinds), (n) => ((word = n), show()), word);
  place.replaceChildren(choice.box, asked, line, make("h3", {}, "Words of the text"), answers.box);
  choice.press(0);
}

function expertView(data, place) {
  const names = Object.keys(data.experts);
  const inside = make("div", { class: "tokens" });
  const choice = choices("Layer", names, (chosen) => {
    const { texts } = data.tokens[names[chosen].startsWith("encoder") ? "source" : "decoder"];
    const layer = data.experts[names[chosen]];
    const spans = texts.map((text, n) => {
      const experts = layer.chosen[n];
      const told = experts.map((expert, k) => `expert ${expert}: ${layer.gates[n][k]}`).join(", ");
      const settings = { class: `tinted expert-${experts[0] % 6}`, title: told };
      const span = make("span", settings, visible(text), make("sub", {}, experts.join(",")));
      span.style.setProperty("--share", String(layer.gates[n][0]));
      return span;
    });
    inside.replaceChildren(...spans);
  });
  place.replaceChildren(choice.box, inside);
  choice.press(0);
}

if (typeof document !== "undefined") {
  const data = JSON.parse(document.getElementById("data").textContent);
  for (const [name, view] of Object.entries({ attention: attentionView, attribution: attributionView, experts: expertView })) {
    const place = document.getElementById(name);
    if (place) {
      view(data, place);
    }
  }
}
