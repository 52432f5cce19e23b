// Prepares images and PDF files for a message: checks type and size, scales images, reads data URLs.

import { h, icon, iconButton } from "./dom.js";

const KINDS = /^(?:image\/(?:png|jpeg|webp|gif|heic|heif|avif)|application\/pdf)$/;
const TYPES_BY_ENDING = { heic: "image/heic", heif: "image/heif", avif: "image/avif", pdf: "application/pdf" };
const MAX_EDGE_PX = 2048;
const MAX_UNSCALED_BYTES = 1_000_000;
const THUMBNAIL_PX = 96;

/**
 * Returns {name, type, size, url} with a data URL. Scales large images down to the size that models use.
 * Throws {kind, name}; kind is the name of the error's text.
 */
export async function readFile(file, maxBytes) {
  const name = file.name || "file";
  const type = file.type || TYPES_BY_ENDING[name.split(".").at(-1).toLowerCase()];
  if (!KINDS.test(type)) throw { kind: "fileKind", name };
  const taken = type === "application/pdf" ? file : await shrink(file);
  if (taken.size > maxBytes) throw { kind: "fileSize", name };
  if (!taken.size) throw { kind: "fileBad", name };
  return { name, type: taken.type || type, size: taken.size, url: await toDataUrl(taken, type) };
}

/** Scales an image down. Returns one that the browser cannot read unchanged, as the server supports more formats. */
async function shrink(file) {
  const picture = await createImageBitmap(file).catch(() => null);
  if (!picture) return file;
  const scale = MAX_EDGE_PX / Math.max(picture.width, picture.height);
  if (scale >= 1 && file.size <= MAX_UNSCALED_BYTES) return file;
  const blob = await new Promise((resolve) => draw(picture, Math.min(scale, 1), "#fff").toBlob(resolve, "image/jpeg", 0.85));
  return blob && blob.size < file.size ? blob : file;
}

function draw(picture, scale, background) {
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(picture.width * scale));
  canvas.height = Math.max(1, Math.round(picture.height * scale));
  const context = canvas.getContext("2d");
  if (background) {
    context.fillStyle = background;
    context.fillRect(0, 0, canvas.width, canvas.height);
  }
  context.drawImage(picture, 0, 0, canvas.width, canvas.height);
  return canvas;
}

async function toDataUrl(blob, type) {
  const reader = new FileReader();
  await new Promise((resolve, reject) => {
    Object.assign(reader, { onload: resolve, onerror: () => reject({ kind: "fileBad", name: blob.name }) });
    reader.readAsDataURL(blob.type ? blob : new Blob([blob], { type }));
  });
  return reader.result;
}

/** Creates the element of a file: a thumbnail or an icon, its name, and a button if it can be removed. */
export function showFile(file, { text }, remove) {
  const sign = h("span", {}, icon("file"));
  const button = remove && iconButton("close", text("remove", { name: file.name }), "remove", remove);
  void drawThumbnail(file).then((picture) => picture && sign.replaceWith(picture));
  return h("div", { class: "file", part: "file", title: file.name }, sign, h("span", {}, file.name), button);
}

/** Draws a thumbnail, or returns null. On a canvas, as a policy may forbid `data:` and `blob:` images. */
async function drawThumbnail({ type, url }) {
  if (!type.startsWith("image/") || !url) return null;
  try {
    const bytes = Uint8Array.from(atob(url.slice(url.indexOf(",") + 1)), (char) => char.charCodeAt(0));
    const picture = await createImageBitmap(new Blob([bytes], { type }));
    return draw(picture, Math.min(1, THUMBNAIL_PX / Math.min(picture.width, picture.height)));
  } catch {
    return null; // a format that this browser does not support
  }
}
