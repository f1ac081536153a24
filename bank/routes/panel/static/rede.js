// Refreshes the network's page from /cluster and /auditoria; a node that is not heard any more keeps its card.

import { pause, reais, time, words, write } from "./painel.js";

const EVERY_MS = 1000;
const TIMEOUT_MS = 5000;
const PULSES = 120;
const PULSES_MIN = 30; // what a page that was just opened has room for: a line that one can see
const ALARM = document.getElementById("surdo");
const OWN = document.querySelector("main").dataset.own;
const CARDS = document.getElementById("cartoes");

async function ask(path) {
  const answer = await fetch(path, { signal: AbortSignal.timeout(TIMEOUT_MS), cache: "no-store" });
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

function newCard(name) {
  const card = document.getElementById("cartao").content.firstElementChild.cloneNode(true);
  card.dataset.node = name;
  const next = [...CARDS.children].find((other) => other.dataset.node > name);
  CARDS.insertBefore(card, next ?? null);
  return card;
}

function cardOf(name) {
  return [...CARDS.children].find((card) => card.dataset.node === name) ?? newCard(name);
}

function showNode(node) {
  const card = cardOf(node.nome);
  const field = (name) => card.querySelector(`[data-field="${name}"]`);
  card.dataset.state = node.estado;
  write(field("nome"), node.nome);
  write(field("estado"), words.estados[node.estado] ?? node.estado);
  write(field("posicao"), node.posicao);
  write(field("atraso"), node.atraso);
  for (const name of ["resumo_historico", "resumo_estado"]) write(field(name), node[name].slice(0, 8));
  if (field("enderecos").textContent !== node.enderecos.join("")) {
    field("enderecos").replaceChildren(
      ...node.enderecos.map((address) => Object.assign(document.createElement("a"), { href: `${address}/`, textContent: address })),
    );
  }
  field("visto").replaceChildren(time(node.visto));
}

function showAgreement([name, agrees]) {
  const mark = CARDS.querySelector(`[data-node="${name}"] [data-field="acordo"]`);
  if (!mark) return;
  mark.dataset.agree = agrees ? "sim" : "nao";
  write(mark, words[name === OWN ? "este" : "outro"][agrees]);
}

function showCluster({ livro, nos }) {
  document.querySelector("[data-log]").dataset.log = livro.estado;
  for (const element of document.querySelectorAll("[data-livro]")) {
    const value = livro[element.dataset.livro];
    write(element, element.dataset.livro === "estado" ? words.livro[value] ?? value : value || "—");
  }
  nos.forEach(showNode);
  const heard = new Set(nos.map((node) => node.nome));
  for (const card of CARDS.children) {
    if (heard.has(card.dataset.node)) continue;
    card.dataset.state = "silencioso";
    write(card.querySelector('[data-field="estado"]'), words.silencio);
  }
}

function showBooks(books) {
  for (const element of document.querySelectorAll("[data-books]")) {
    const name = element.dataset.books;
    if (name === "confere") {
      element.dataset.agree = books.confere ? "sim" : "nao";
      write(element, books.confere ? words.livros_conferem : words.livros_diferem);
    } else {
      write(element, typeof books[name] === "string" ? reais(books[name]) : books[name]);
    }
  }
  const empty = document.getElementById("vazio");
  if (empty) empty.hidden = books.contas > 0;
}

const rates = [];
let last;

function showPulse({ lancamentos, acordo }) {
  Object.entries(acordo).forEach(showAgreement);
  const now = performance.now();
  if (last && lancamentos >= last.count) {
    rates.push(((lancamentos - last.count) * 1000) / (now - last.now));
    if (rates.length > PULSES) rates.shift();
    drawPulse();
  }
  last = { count: lancamentos, now };
}

function drawPulse() {
  const figure = document.getElementById("pulso");
  const highest = Math.max(10, ...rates);
  const step = 240 / (Math.max(PULSES_MIN, rates.length) - 1);
  const x = (index) => 240 - (rates.length - 1 - index) * step;
  const points = rates.map((rate, index) => `${x(index).toFixed(1)} ${(54 - (52 * rate) / highest).toFixed(1)}`);
  figure.querySelector(".line").setAttribute("d", `M${points.join("L")}`);
  figure.querySelector(".area").setAttribute("d", `M${points.join("L")}L240 56L${x(0).toFixed(1)} 56Z`);
  write(document.getElementById("ritmo"), Math.round(rates.at(-1)).toLocaleString(document.documentElement.lang));
  figure.hidden = false;
}

// The sum over a million accounts takes a while: the books are asked for at most a tenth of the time.
let booksAgainAt = 0;

async function refresh() {
  showCluster(await ask("/cluster"));
  showPulse(await ask("/painel/pulso"));
  const began = performance.now();
  if (began < booksAgainAt) return;
  showBooks(await ask("/auditoria"));
  booksAgainAt = performance.now() + 9 * (performance.now() - began);
}

for (;;) {
  if (!document.hidden) {
    try {
      await refresh();
      ALARM.hidden = true;
    } catch {
      write(ALARM, words.surdo);
      ALARM.hidden = false;
    }
  }
  await pause(EVERY_MS);
}
