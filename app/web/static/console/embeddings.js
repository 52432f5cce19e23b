// The embeddings panel: shows the similarity of documents to a query as bars.

import { byId, h } from "./dom.js";
import { Panel } from "./panel.js";

const element = byId("embeddings");
const [query, documents] = ["embeddings-query", "embeddings-documents"].map(byId);
const output = element.querySelector(".output");

export function startEmbeddings(gatehouse) {
  const list = () => documents.value.split("\n").filter((line) => line.trim());
  const panel = new Panel(
    element,
    async (signal) => {
      const onRetrying = (event) => panel.retrying(event);
      const { results } = await gatehouse.similarity(query.value, list(), { signal, onRetrying });
      output.querySelector("ol").replaceChildren(...results.map(drawBar));
      output.hidden = false;
    },
    () => ({ path: "/api/embeddings/similarity", body: { query: query.value, documents: list() } }),
  );
  return panel;
}

function drawBar({ document: text, similarity }) {
  const bar = h("div");
  bar.style.width = `${Math.max(0, similarity) * 100}%`;
  return h("li", {}, h("div", { className: "row" }, h("span", {}, text), h("strong", {}, similarity.toFixed(3))), h("div", { className: "track" }, bar));
}
