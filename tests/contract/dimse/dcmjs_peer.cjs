// Calls a server with dcmjs-dimse as SCU and prints one line of JSON per response.
// node dcmjs_peer.cjs PORT CALLING CALLED echo|store FILE|find LEVEL
const { Client, Dataset, constants, requests } = require("dcmjs-dimse");

const [port, calling, called, operation, argument] = process.argv.slice(2);

function makeRequest() {
  switch (operation) {
    case "echo":
      return new requests.CEchoRequest();
    case "store":
      return new requests.CStoreRequest(argument);
    case "find":
      return requests.CFindRequest.createStudyFindRequest({ PatientName: argument });
    default:
      throw new Error(`unknown operation ${operation}`);
  }
}

const say = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);
const request = makeRequest();
request.on("response", (response) => {
  const data = response.getStatus() === constants.Status.Pending ? response.getDataset() : undefined;
  say({
    status: response.getStatus(),
    studyInstanceUid: data instanceof Dataset ? data.getElement("StudyInstanceUID") : undefined,
  });
});
const client = new Client();
client.addRequest(request);
client.on("associationRejected", (result) => say({ rejected: result.reason }));
client.on("networkError", (error) => say({ networkError: String(error) }));
client.on("closed", () => process.exit(0));
client.send("127.0.0.1", Number(port), calling, called);
