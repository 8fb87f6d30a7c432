"use strict";
const $ = (id) => document.getElementById(id);
let state = null, group = { group: -1, frames: [], suggestions: [] };
let view = "alike", here = 0, chosen = new Set(), busy = false;

const element = (tag, text, name) => {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (name) made.className = name;
  return made;
};
const by = () => $("by").value.trim();

async function ask(path, body) {
  const how = body && { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  const answer = await fetch(path, how);
  const found = await answer.json();
  if (!answer.ok) throw new Error(found.error);
  return found;
}

function say(text, wrong = false) {
  $("said").textContent = text;
  $("said").classList.toggle("wrong", wrong);
}

async function working(work) {
  if (busy) return;
  busy = true;
  try {
    await work();
  } catch (error) {
    // What `fetch` itself raises says nothing to a person.
    const away = error instanceof TypeError;
    say(away ? "The program does not answer: is it still running?" : error.message, true);
  } finally {
    busy = false;
  }
}

async function load(after) {
  const asked = new URLSearchParams({ view, after: Math.max(-1, after), by: by() });
  group = await ask(`group?${asked}`);
  here = 0;
  chosen = new Set(group.frames.map((_, place) => place));
  show();
  scrollTo({ top: 0 });
}

function show() {
  const tiles = group.frames.map((frame, place) => {
    const tile = element("figure");
    const picture = element("img");
    picture.src = frame.file;
    picture.alt = `${frame.label}, ${frame.why}`;
    picture.draggable = false;
    const text = element("figcaption", `${frame.label || "nothing"} ${(100 * frame.probability).toFixed(0)} %`);
    const said = Object.entries({ ...(frame.mine && { you: frame.mine }), ...frame.others });
    if (said.length) text.append(" ", element("b", said.map(([who, label]) => `${who}: ${label}`).join(", ")));
    text.append(element("small", [frame.why, frame.board].filter(Boolean).join(" · ")));
    tile.title = frame.time;
    tile.append(picture, text);
    tile.addEventListener("click", () => { here = place; toggle(); });
    tile.addEventListener("dblclick", () => enlarge(place));
    return tile;
  });
  const nothing = { alike: "All frames are labelled.", random: "All of the random stream is labelled.",
    second: "Others labelled nothing that you did not.", disputed: "Nobody disagrees.", labelled: "Nothing is labelled yet." };
  $("frames").replaceChildren(...(tiles.length ? tiles : [element("p", nothing[view], "empty")]));
  mark();
}

function mark() {
  [...$("frames").children].forEach((tile, place) => {
    tile.classList.toggle("in", chosen.has(place));
    tile.classList.toggle("here", place === here && group.frames.length > 0);
  });
  $("chosen").textContent = chosen.size === 1 ? "1 frame shows" : `${chosen.size} frames show`;
  showClasses();
}

function classes() {
  const typed = $("name").value.trim().toLowerCase();
  const known = state ? state.classes.map((one) => one.label) : [];
  const names = [...new Set([...group.suggestions, ...known])].filter((name) => name !== state?.none);
  return names.filter((name) => name.toLowerCase().includes(typed));
}

function showClasses() {
  const counts = Object.fromEntries((state?.classes ?? []).map((one) => [one.label, one.count]));
  const rows = classes().map((name, place) => {
    const row = element("button", undefined, place === 0 ? "suggested" : "");
    row.type = "button";
    if (place < 9) row.append(element("kbd", place + 1));
    row.append(name, element("span", counts[name] ?? 0));
    row.addEventListener("click", () => give(name));
    return row;
  });
  const typed = $("name").value.trim();
  if (typed && !(typed in counts)) {
    const row = element("button", `new class: ${typed}`);
    row.type = "button";
    row.append(element("kbd", rows.length ? "Shift Enter" : "Enter"));
    row.addEventListener("click", () => give(typed));
    rows.push(row);
  }
  $("classes").replaceChildren(...rows);
}

function showState(found) {
  state = found;
  $("left").textContent = state.frames - state.labelled;
  $("random").textContent = state.random - state.random_labelled;
  $("disputed").textContent = state.disputed;
  $("done").textContent = state.labelled;
  const percent = (value) => `${(100 * value).toFixed(1)} %`;
  // Of fewer the interval says nothing.
  const known = state.accuracy?.count >= 20 ? state.accuracy : null;
  $("accuracy").replaceChildren();
  if (known) {
    $("accuracy").append("The network is right on ", element("b", percent(known.value)),
      ` of all frames that show a class (95%: ${percent(known.low)} to ${percent(known.high)}), by ${known.count} of the random stream.`);
  } else if (state.random) {
    $("accuracy").append("Label the random stream in its order, and how often the network is right on all frames stands here.");
  }
}

function give(label) {
  const name = label ?? classes()[0] ?? $("name").value.trim();
  const files = [...chosen].map((place) => group.frames[place].file);
  if (!name || !files.length) return say(files.length ? "Which class?" : "No frame is chosen.", true);
  return working(async () => {
    showState(await ask("label", { files, label: name, by: by(), view }));
    $("name").value = "";
    say(`${files.length} ${files.length === 1 ? "frame" : "frames"}: ${name}`);
    // What is left of the group comes first.
    await load(group.group - 1);
  });
}

const undo = () => working(async () => {
  const found = await ask("undo", { by: by(), view });
  showState(found);
  say(found.undone ? `Taken back: ${found.undone} frames.` : "There is nothing to take back.");
  await load((found.undone ? found.group : group.group) - 1);
});
const skip = (step) => working(() => load(step > 0 ? group.group : group.group - 2));

function toggle() {
  if (!chosen.delete(here)) chosen.add(here);
  mark();
}

function move(step) {
  here = Math.max(0, Math.min(group.frames.length - 1, here + step));
  mark();
  $("frames").children[here]?.scrollIntoView({ block: "nearest" });
}

function enlarge(place) {
  $("whole").firstElementChild.src = `${group.frames[place].file}?whole`;
  $("whole").showModal();
}

const perRow = () => getComputedStyle($("frames")).gridTemplateColumns.split(" ").length;
const typing = () => $("name").value !== "";
const keys = {
  ArrowRight: () => move(1), ArrowLeft: () => move(-1),
  ArrowDown: () => move(perRow()), ArrowUp: () => move(-perRow()),
  PageDown: () => skip(1), PageUp: () => skip(-1), F2: () => group.frames.length && enlarge(here),
  Enter: (event) => give(event.shiftKey ? $("name").value.trim() : undefined),
  Escape: () => { $("name").value = ""; mark(); },
};
const keysOfTheEmptyBox = {
  " ": toggle, 0: () => give(state.none),
  "*": () => { chosen = new Set(chosen.size ? [] : group.frames.map((_, place) => place)); mark(); },
};

document.addEventListener("keydown", (event) => {
  if (event.target === $("by") || $("whole").open || event.altKey || event.metaKey) return;
  if (event.target.tagName === "BUTTON" && (event.key === "Enter" || event.key === " ")) return;
  let act = event.ctrlKey ? event.key === "z" && undo : keys[event.key];
  if (!act && !event.ctrlKey && !typing()) {
    act = keysOfTheEmptyBox[event.key];
    const number = "123456789".indexOf(event.key);
    if (number >= 0) act = () => classes()[number] && give(classes()[number]);
  }
  if (act) {
    event.preventDefault();
    act(event);
  } else if (event.key.length === 1 && !event.ctrlKey) $("name").focus();
});
$("name").addEventListener("input", showClasses);
$("give").addEventListener("submit", (event) => { event.preventDefault(); give(); });
$("none").addEventListener("click", () => give(state.none));
$("skip").addEventListener("click", () => skip(1));
$("undo").addEventListener("click", undo);
$("whole").addEventListener("click", () => $("whole").close());
for (const button of document.querySelectorAll("[data-view]")) {
  button.addEventListener("click", () => {
    view = button.dataset.view;
    for (const one of document.querySelectorAll("[data-view]")) one.setAttribute("aria-pressed", one === button);
    $("name").focus();
    working(() => load(-1));
  });
}
$("by").addEventListener("change", () => {
  localStorage.setItem("by", by());
  working(() => load(-1));
});

working(async () => {
  showState(await ask("state"));
  $("by").value = localStorage.getItem("by") || state.by;
  await load(-1);
});
