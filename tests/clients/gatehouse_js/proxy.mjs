// A way to the server whose connections can break.
import net from "node:net";

/** Start it. With `after`, it breaks once by itself: after so many bytes of the first body that comes back. */
export async function startProxy(base, { after = Infinity } = {}) {
  const open = new Set();
  let connections = 0;
  let isBroken = false;
  const server = net.createServer((near) => {
    connections += 1;
    const far = net.connect(new URL(base).port, "127.0.0.1");
    let sent = "";
    near.pipe(far);
    far.on("data", (data) => {
      if (after === Infinity || isBroken) return near.write(data);
      sent += data.toString("latin1");
      const head = sent.indexOf("\r\n\r\n") + 4;
      const excess = sent.length - head - after;
      if (head < 4 || excess <= 0) return near.write(data);
      isBroken = true;
      near.write(data.subarray(0, data.length - excess), () => near.destroy());
    });
    open.add(near);
    for (const [socket, other] of [[near, far], [far, near]]) {
      socket.on("error", () => other.destroy());
      socket.on("close", () => other.destroy());
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    connections: () => connections,
    breakAll: () => open.forEach((socket) => socket.destroy()),
    close: () => server.close(),
  };
}
