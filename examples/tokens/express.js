import express from "express";
const app = express();
app.get("/gatehouse-token", async (request, response) => {
  const userId = /\bvisitor=([\w-]+)/.exec(request.headers.cookie)?.[1] ?? crypto.randomUUID();
  const headers = { Authorization: `Bearer ${process.env.GATEHOUSE_KEY}`, "Content-Type": "application/json" };
  const body = JSON.stringify({ userId, ttlS: 900, scopes: ["chat"] });
  const answer = await fetch(`${process.env.GATEHOUSE_URL}/api/tokens`, { method: "POST", headers, body });
  response.cookie("visitor", userId, { httpOnly: true }).set("Cache-Control", "no-store");
  response.status(answer.status).json(await answer.json());
}).listen(process.env.PORT ?? 3000);
