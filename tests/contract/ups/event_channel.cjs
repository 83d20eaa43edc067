// Opens event channels as Node's own WebSocket client and prints what it hears, a JSON line for each thing.
// Arguments: URL, and the headers of the handshake in JSON.
const [url, given] = process.argv.slice(2);
const headers = JSON.parse(given);
const socket = new WebSocket(url, { headers });
const say = (what) => console.log(JSON.stringify(what));
socket.addEventListener("open", () => say({ opened: true }));
socket.addEventListener("message", (message) => say({ message: JSON.parse(message.data) }));
socket.addEventListener("error", () => say({ failed: true }));
socket.addEventListener("close", (end) => { say({ closed: end.code }); process.exit(0); });
