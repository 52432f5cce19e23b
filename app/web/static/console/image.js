// The image panel: shows how an image is prepared, and asks a question about it.

import { byId, formatCount, h } from "./dom.js";
import { Panel } from "./panel.js";
import { readSettings } from "./settings.js";

const element = byId("image");
const [file, prompt, detail] = ["image-file", "image-prompt", "image-detail"].map(byId);
const intake = element.querySelector(".intake");
const output = element.querySelector(".output");
let url = "data:image/png;base64,…"; // of the selected image, once it has been read

export function startImage(gatehouse) {
  const fields = () => ({ ...readSettings("image"), detail: detail.value });
  const panel = new Panel(
    element,
    async (signal) => {
      const answer = output.querySelector("p");
      answer.textContent = "";
      output.hidden = false;
      for await (const event of gatehouse.streamVision(prompt.value, file.files[0], { ...fields(), signal })) {
        if (event.type === "token") answer.append(event.token);
        else if (event.type === "retrying" || event.type === "offline") panel.retrying(event);
      }
    },
    () => ({
      path: "/api/vision/stream",
      body: { prompt: prompt.value, images: [url], ...fields() },
      form: { image: `@${file.files[0]?.name ?? "picture.png"}`, prompt: prompt.value, ...fields() },
    }),
  );
  file.addEventListener("change", readUrl);
  for (const input of [file, detail]) input.addEventListener("change", () => void showIntake(panel));
  return panel;
}

/** Read the selected image for the code in the wire pane, and update that code. */
function readUrl() {
  const [chosen] = file.files;
  if (!chosen) return;
  const reader = new FileReader();
  reader.onload = () => {
    if (chosen !== file.files[0]) return; // another one has been selected
    url = reader.result;
    file.dispatchEvent(new Event("input", { bubbles: true }));
  };
  reader.readAsDataURL(chosen);
}

/** Show the selected image as it would be sent to a model. */
async function showIntake(panel) {
  const [chosen] = file.files;
  if (!chosen) return;
  const form = new FormData();
  form.append("image", chosen);
  form.append("detail", detail.value);
  const { model } = readSettings("image");
  if (model) form.append("model", model);
  const response = await fetch("/console/image", { method: "POST", body: form });
  const found = await response.json();
  if (!response.ok) {
    intake.hidden = true;
    return panel.fail({ message: found.error });
  }
  panel.hide();
  const { given, sent } = found;
  const tokens = h("div", {}, h("strong", {}, `≈ ${formatCount(found.tokens)} tokens`), h("br"), `${found.model}, detail ${found.detail}`);
  intake.querySelector(".intake-facts").replaceChildren(describe("Original", given), "→", describe("Sent", sent), tokens);
  intake.hidden = false;
}

function describe(title, { type = "unknown", width, height, bytes }) {
  const size = width ? `${formatCount(width)} × ${formatCount(height)} px` : "";
  return h("div", {}, h("strong", {}, title), h("br"), [type, size, `${formatCount(bytes)} bytes`].filter(Boolean).join(", "));
}
