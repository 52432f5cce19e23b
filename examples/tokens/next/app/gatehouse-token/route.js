import { cookies } from "next/headers";
export async function GET() {
  const jar = await cookies();
  const userId = jar.get("visitor")?.value ?? crypto.randomUUID();
  jar.set("visitor", userId, { httpOnly: true });
  const headers = { Authorization: `Bearer ${process.env.GATEHOUSE_KEY}`, "Content-Type": "application/json" };
  const body = JSON.stringify({ userId, ttlS: 900, scopes: ["chat"] });
  const answer = await fetch(`${process.env.GATEHOUSE_URL}/api/tokens`, { method: "POST", headers, body });
  return Response.json(await answer.json(), { status: answer.status, headers: { "Cache-Control": "no-store" } });
}
