// Connect through a proxymux gateway; Node.js and nothing else.  Copy it into your own program.
//
//     node client.js GATEWAY_HOST GATEWAY_PORT TOKEN < request
const net = require("node:net");

// A promise of a socket that is connected to the target of the token.
function connect(host, port, token) {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ host, port, allowHalfOpen: true }, () => socket.write(token + "\n"));
    const look = () => {
      const status = socket.read(3); // not one byte more: what follows is the target's
      if (status === null) return;
      socket.off("readable", look).off("end", gone).off("error", reject);
      if (status.toString() === "200") return resolve(socket);
      socket.destroy();
      reject(new Error("the gateway answers " + status));
    };
    const gone = () => reject(new Error("the gateway closed without a status"));
    socket.on("readable", look).on("end", gone).on("error", reject);
  });
}

module.exports = { connect };

if (require.main === module) {
  const [host, port, token] = process.argv.slice(2);
  connect(host, Number(port), token).then(
    (socket) => process.stdin.pipe(socket).pipe(process.stdout),
    (error) => { console.error(error.message); process.exitCode = 1; },
  );
}
