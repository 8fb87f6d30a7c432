"use strict";
// Everything arrives as one event a quarter of a second; the last minute is kept for the graph.
const $ = (id) => document.getElementById(id);
let history = [];
const MINUTE = 60;

function showTop(top, labels) {
  const rows = top.map(({ label, probability }) => {
    const row = document.createElement("li");
    const name = document.createElement("span");
    const value = document.createElement("data");
    const bar = document.createElement("div");
    const filled = bar.appendChild(document.createElement("i"));
    name.textContent = name.title = label;
    value.textContent = `${(100 * probability).toFixed(1)} %`;
    filled.style.width = `${100 * probability}%`;
    row.append(name, value, bar);
    row.classList.toggle("off", labels !== null && !labels.includes(label));
    return row;
  });
  $("top").replaceChildren(...rows);
}

function show(status) {
  $("bundle").textContent = `${status.bundle} · ${status.runtime}`;
  $("state").textContent = status.live ? "live" : `no frame for ${status.silent_s.toFixed(0)} s`;
  $("state").classList.toggle("live", status.live);
  if (!status.top) return;
  $("label").textContent = status.decision ?? status.answer;
  showTop(status.top, status.labels ?? status.possible);
  $("alarm").hidden = !status.alarm;
  // An unchanged text is not read out again.
  if (status.alarm && $("alarm").textContent !== status.alarm) $("alarm").textContent = status.alarm;
  $("fps").textContent = `${status.fps.toFixed(1)} /s`;
  $("inference").textContent = `${status.inference_ms.toFixed(1)} ms`;
  $("age").textContent = `${status.age_ms.toFixed(0)} ms`;
  $("frames").textContent = status.frames.toLocaleString();
  $("dropped").textContent = status.dropped.toLocaleString();
  $("warmth").hidden = status.temperature_c === null;
  $("temperature").textContent = `${status.temperature_c?.toFixed(0)} °C`;
  history.push(status);
  while (history[0].time < status.time - MINUTE) history.shift();
  draw();
}

function draw() {
  const canvas = $("graph");
  const style = getComputedStyle(document.documentElement);
  const scale = window.devicePixelRatio || 1;
  const width = canvas.clientWidth, height = canvas.clientHeight;
  canvas.width = width * scale;
  canvas.height = height * scale;
  const pen = canvas.getContext("2d");
  pen.scale(scale, scale);
  const top = niceCeiling(Math.max(...history.map((h) => Math.max(h.age_ms, h.inference_ms)), 1));
  const now = history[history.length - 1].time;
  const x = (time) => width * (1 - (now - time) / MINUTE);
  const y = (value) => (height - 4) * (1 - value / top) + 2;
  pen.fillStyle = style.getPropertyValue("--dim");
  pen.strokeStyle = style.getPropertyValue("--back");
  pen.font = "11px system-ui, sans-serif";
  for (const part of [0.5, 1]) {
    pen.beginPath();
    pen.moveTo(0, y(top * part));
    pen.lineTo(width, y(top * part));
    pen.stroke();
    pen.fillText(`${+(top * part).toPrecision(3)} ms`, 2, y(top * part) + 12);
  }
  pen.lineWidth = 1.5;
  for (const [name, colour] of [["age_ms", "--orange"], ["inference_ms", "--blue"]]) {
    pen.strokeStyle = style.getPropertyValue(colour);
    pen.beginPath();
    history.forEach((h, i) => (i ? pen.lineTo(x(h.time), y(h[name])) : pen.moveTo(x(h.time), y(h[name]))));
    pen.stroke();
  }
}

function niceCeiling(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return power * [1, 2, 5, 10].find((step) => step * power >= value);
}

fetch("history")
  .then((answer) => answer.json())
  .then((minute) => {
    const first = history[0]?.time ?? Infinity;
    history = [...minute.filter(({ time }) => time < first), ...history];
    if (history.length) draw();
  });
const events = new EventSource("status");
events.onmessage = (event) => show(JSON.parse(event.data));
events.onerror = () => {
  $("state").textContent = "connection lost";
  $("state").classList.remove("live");
};
// One more inference a frame, as long as somebody wants to know.
$("why").addEventListener("click", () => {
  const asked = $("why").getAttribute("aria-pressed") !== "true";
  $("why").setAttribute("aria-pressed", asked);
  $("explained").hidden = !asked;
  if (asked) $("explained").src = `explained.mjpeg?${Date.now()}`;
  else $("explained").removeAttribute("src");
});
// The browser connects the events again by itself, the picture has to be asked for.
let lost = false;
events.addEventListener("error", () => (lost = true));
events.addEventListener("open", () => {
  if (lost) $("picture").src = `picture.mjpeg?${Date.now()}`;
  lost = false;
});
