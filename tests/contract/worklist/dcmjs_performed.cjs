// Tells a server what a modality did, with dcmjs-dimse as SCU, in one association.
// node dcmjs_performed.cjs PORT CALLING CALLED < [{"operation": "create", "uid": "…", "attributes": {…}}, …]
// Prints one line of JSON per response.
const { readFileSync } = require("fs");
const { Client, Dataset, requests } = require("dcmjs-dimse");

const [port, calling, called] = process.argv.slice(2);
const PERFORMED = "1.2.840.10008.3.1.2.3.3";
const RETRIEVE = "1.2.840.10008.3.1.2.3.4";
const make = {
  create: (uid) => new requests.NCreateRequest(PERFORMED, uid),
  set: (uid) => new requests.NSetRequest(PERFORMED, uid),
  get: (uid) => new requests.NGetRequest(RETRIEVE, uid, []),
};

const client = new Client();
for (const { operation, uid, attributes } of JSON.parse(readFileSync(0, "utf8"))) {
  const request = make[operation](uid);
  if (attributes) request.setDataset(new Dataset(attributes));
  request.on("response", (response) => {
    const command = response.getCommandDataset().getElements();
    const data = response.getDataset();
    process.stdout.write(
      `${JSON.stringify({
        operation,
        status: response.getStatus(),
        errorComment: response.getErrorComment(),
        errorId: command.ErrorID,
        attributes: command.AttributeIdentifierList,
        data: data ? data.getElements() : undefined,
      })}\n`,
    );
  });
  client.addRequest(request);
}
client.on("associationRejected", (result) => process.stdout.write(`${JSON.stringify({ rejected: result.reason })}\n`));
client.on("networkError", (error) => process.stdout.write(`${JSON.stringify({ networkError: String(error) })}\n`));
client.on("closed", () => process.exit(0));
client.send("127.0.0.1", Number(port), calling, called);
