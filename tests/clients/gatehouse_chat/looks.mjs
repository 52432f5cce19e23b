// Draws the element in its states into the folder PICTURES: those that docs/pictures has, or with ALL=1 every one, to look at.
import { answerWith } from "./talk.mjs";

const ANSWER = `Of course. Your order **4711** left our house on *Tuesday*:

| Step | When | Where |
|---|---|---:|
| Packed | Mon 14:10 | Hamburg |
| Sent | Tue 09:30 | Hamburg |
| On its way | now | Bremen |

1. It should arrive **tomorrow**.
2. If it does not:
   - ask the [carrier](https://carrier.example/)
   - or write to us

\`\`\`bash
curl https://shop.example/orders/4711 --header "Accept: application/json" | jq '.status'
\`\`\`

> Nothing to pay on delivery.`;

const IN_DOCS = new Set(["answered-desk-light", "answered-desk-dark", "answered-phone-light", "countdown-phone-dark", "floating-desk-light", "files-phone-light"]);
const SIZES = { phone: { width: 390, height: 760 }, desk: { width: 1280, height: 800 } };

export async function pictures_of_all_states({ open, upstream, view, harness }) {
  const folder = process.env.PICTURES;
  for (const [size, viewport] of Object.entries(SIZES)) {
    for (const colorScheme of ["light", "dark"]) {
      const shot = async (state) => {
        const name = `${state}-${size}-${colorScheme}`;
        if (!process.env.ALL && !IN_DOCS.has(name)) return;
        await view.page.mouse.move(0, 0);
        await view.page.screenshot({ path: `${folder}/chat-${name}.png`, animations: "disabled" });
      };
      const context = { viewport, colorScheme };
      await open({ context, tag: '<gatehouse-chat theme="auto"></gatehouse-chat>', style: "shop" });
      await shot("empty");
      const held = upstream.holds(ANSWER.slice(0, 150), ANSWER.slice(150));
      await view.chat.locator("input[type=file]").setInputFiles([{ name: "invoice-4711.pdf", mimeType: "application/pdf", buffer: Buffer.from("%PDF") }, { name: "parcel.png", mimeType: "image/png", buffer: await view.page.screenshot({ clip: { x: 0, y: 0, width: 200, height: 200 } }) }]);
      await view.chat.locator(".composer .file").nth(1).waitFor();
      await view.input.fill("Where is my order?");
      await shot("files");
      await view.button("Remove invoice-4711.pdf").click();
      await view.button("Send").click();
      await view.state("waiting");
      await view.chat.locator("[part=typing]").waitFor();
      await shot("waiting");
      held.release(1);
      await view.lastAnswer("left our house");
      await shot("streaming");
      held.release();
      await view.state("idle");
      await shot("answered");
      await answerWith(view, 429, { code: "rate_limited", headers: { "Retry-After": "42" } });
      await view.say("And the other one?");
      await view.state("paused");
      await shot("countdown");
      await view.button("Stop").click();
      for (const [status, code, kind, headers] of [[401, "unauthenticated", "signedOut"], [422, "content_filter", "filtered"], [429, "budget_exceeded", "budget", { "Retry-After": "40000" }], [502, "upstream_failed", "failed"]]) {
        await answerWith(view, status, { code, headers });
        await view.say("And the other one?");
        await view.state(kind);
        await shot(kind);
      }
      await harness.leave();
      await open({ context, tag: '<gatehouse-chat theme="auto" mode="floating"></gatehouse-chat>', style: "shop" });
      await shot("launcher");
      await view.button("Open chat").click();
      upstream.says(ANSWER);
      await view.say("Where is my order?");
      await view.state("idle");
      await shot("floating");
      await harness.leave();
      await open({ context, html: 'lang="zh" dir="rtl"', tag: '<gatehouse-chat theme="auto"></gatehouse-chat>', style: "shop" });
      upstream.says(ANSWER);
      await view.say("我的订单在哪里？");
      await view.state("idle");
      await shot("mirrored");
      await harness.leave();
    }
  }
}
