// Connect through a proxymux gateway; Node.js and nothing else.  Copy it into your own program.
//
//     node client.js GATEWAY_HOST GATEWAY_PORT TOKEN < request
const net = require("node:net");

// A promise of a socket that is connected to the target of the token.
function connect(host, port, token, seconds = 30) {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ host, port, allowHalfOpen: true }, () => socket.write(token + "\n"));
    const fail = (error) => { socket.destroy(); reject(error); };
    const gone = () => fail(new Error("the gateway closed without a status"));
    const late = () => fail(new Error(`no status from the gateway within ${seconds} s`));
    const look = () => {
      const status = socket.read(3); // not one byte more: what follows is the target's
      if (status === null) return;
      socket.off("readable", look).off("end", gone).off("error", fail).off("timeout", late).setTimeout(0);
      if (status.toString() === "200") resolve(socket);
      else fail(new Error("the gateway answers " + status));
    };
    socket.on("readable", look).on("end", gone).on("error", fail).on("timeout", late).setTimeout(seconds * 1000);
  });
}

module.exports = { connect };

if (require.main === module) {
  const fail = (error) => { console.error(error.message); process.exit(1); };
  const [host, port, token] = process.argv.slice(2);
  connect(host, Number(port), token).then((socket) => {
    process.stdin.pipe(socket).pipe(process.stdout); // the end of the input is a half-close, which goes through
    socket.on("error", fail).on("end", () => { process.stdin.destroy(); socket.end(); });
  }).catch(fail);
}
