// What all pages share: times in the reader's own zone, amounts as people write them, words from the page.

const language = document.documentElement.lang;
const full = new Intl.DateTimeFormat(language, { dateStyle: "short", timeStyle: "medium" });
const short = new Intl.DateTimeFormat(language, { timeStyle: "medium" });

export const words = JSON.parse(document.querySelector("main").dataset.words ?? "{}");

// Fills in {name}, as the server does.
export function say(text, values) {
  return text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

// From decimal text to R$ 1.234,50: digits are moved, never made a number.
export function reais(text) {
  const [, sign, whole, fraction] = /^(-?)(\d+)\.(\d\d)$/.exec(text);
  const [separator, point] = language === "en" ? [",", "."] : [".", ","];
  return `${sign && "−"}R$\u00a0${whole.replace(/\B(?=(\d{3})+$)/g, separator)}${point}${fraction}`;
}

function showTime(element) {
  const moment = new Date(element.dateTime);
  element.textContent = (element.className === "short" ? short : full).format(moment);
  element.title = full.format(moment);
  return element;
}

// The time of day, for what happens now.
export function time(instant) {
  return showTime(Object.assign(document.createElement("time"), { dateTime: instant, className: "short" }));
}

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// Writes only what changed, so that a selection stays and a screen reader is not told the same twice.
export function write(element, text) {
  if (element && element.textContent !== String(text)) element.textContent = text;
}

document.querySelectorAll("time").forEach(showTime);
