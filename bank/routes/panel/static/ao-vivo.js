// Goes on from where the page ends with /eventos, and comes back by itself without loss or repetition.
//
// Read with fetch: an EventSource cannot say where to begin, nor see a 429 and how long to wait.

import { pause, reais, say, time, words, write } from "./painel.js";

const ROWS = 200;
const STATUS = document.getElementById("ligacao");
const BUTTON = document.getElementById("pausa");
const LIST = document.getElementById("linhas");
const ACCOUNTS = "/painel/contas/";

let mark = document.querySelector("main").dataset.mark;
let reading = new AbortController();
let paused = false;

// Amounts stay text, digit by digit. Inside a string of JSON the quotes would stand behind backslashes.
function parse(data) {
  return JSON.parse(data.replace(/("(?:valor|saldo)"):(-?\d+\.\d\d)/g, '$1:"$2"'));
}

function rowOf(event) {
  const row = document.getElementById("linha").content.firstElementChild.cloneNode(true);
  const field = (name) => row.querySelector(`[data-field="${name}"]`);
  field("instante").replaceChildren(time(event.instante));
  write(field("op"), words.operacoes[event.op] ?? event.op);
  for (const name of ["id_conta", "conta_destino"]) {
    if (!event[name]) continue;
    write(field(name), event[name]);
    if (event.codigo !== "CONTA_NAO_ENCONTRADA") field(name).href = ACCOUNTS + event[name]; // it may lead nowhere
  }
  if (event.valor) write(field("valor"), reais(event.valor));
  write(field("situacao"), event.codigo ? words.codigos[event.codigo] : words.aplicada);
  row.classList.toggle("refused", event.situacao === "recusada");
  write(field("posicao"), event.posicao);
  write(field("banco"), event.banco);
  return row;
}

// A busy bank tells more than anybody can see: only the newest become rows.
function show(blocks) {
  const told = [];
  for (const block of blocks) {
    const id = /^id: (.*)$/m.exec(block)?.[1];
    const data = /^data: (.*)$/m.exec(block)?.[1];
    if (data) told.push(data);
    if (id) mark = id;
  }
  LIST.prepend(...told.slice(-ROWS).map((data) => rowOf(parse(data))).reverse());
  while (LIST.children.length > ROWS) LIST.lastElementChild.remove();
}

function tell(text, isLive = false) {
  STATUS.dataset.live = isLive ? "sim" : "nao";
  write(STATUS, text);
}

// Returns how many seconds to wait before the next stream.
async function readStream() {
  reading = new AbortController();
  const answer = await fetch("/eventos", { headers: { "Last-Event-ID": mark }, signal: reading.signal });
  if (answer.status === 400 || answer.status === 409) location.reload(); // the history was replaced
  if (!answer.ok) {
    const seconds = Number(answer.headers.get("Retry-After")) || 5;
    tell(say(answer.status === 429 ? words.cheio : words.caiu, { seconds }));
    return seconds;
  }
  tell(words.ligado, true);
  let rest = "";
  for await (const text of chunks(answer.body.pipeThrough(new TextDecoderStream()))) {
    const blocks = (rest + text).split("\n\n");
    rest = blocks.pop();
    show(blocks);
  }
  return 1;
}

async function* chunks(stream) {
  const reader = stream.getReader();
  for (let part = await reader.read(); !part.done; part = await reader.read()) yield part.value;
}

BUTTON.hidden = false;
BUTTON.addEventListener("click", () => {
  paused = !paused;
  write(BUTTON, paused ? words.continuar : words.pausar);
  if (paused) {
    tell(words.pausado);
    reading.abort();
  }
});

// A hidden page leaves its seat to others.
document.addEventListener("visibilitychange", () => document.hidden && reading.abort());

for (;;) {
  while (paused || document.hidden) await pause(200);
  try {
    await pause(1000 * (await readStream()));
  } catch {
    if (paused || document.hidden) continue;
    tell(say(words.caiu, { seconds: 2 }));
    await pause(2000);
  }
}
