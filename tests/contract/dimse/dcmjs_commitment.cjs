// Asks for storage commitment with dcmjs-dimse, and prints one line of JSON per answer.
// node dcmjs_commitment.cjs SERVER_PORT OWN_PORT same|new SOP_CLASS SOP_INSTANCE
const dimse = require("dcmjs-dimse");
const { Client, Dataset, Scp, Server, constants, requests, responses } = dimse;
const { PresentationContextResult, SopClass, Status, TransferSyntax, UserIdentityType } = constants;

const [serverPort, ownPort, where, sopClass, sopInstance] = process.argv.slice(2);
const say = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);
const commitment = SopClass?.StorageCommitmentPushModel ?? "1.2.840.10008.1.20.1";

function told(request, place) {
  const items = request.getDataset().getElement("ReferencedSOPSequence");
  const list = Array.isArray(items) ? items : [items];
  say({
    event: request.getEventTypeId(),
    where: place,
    instances: list.map((item) => item.ReferencedSOPInstanceUID),
  });
  setTimeout(() => process.exit(0), 300);
  const response = responses.NEventReportResponse.fromRequest(request);
  response.setStatus(Status.Success);
  return response;
}

class Listener extends Scp {
  associationRequested(association) {
    for (const { id } of association.getPresentationContexts()) {
      const context = association.getPresentationContext(id);
      const known = context.getAbstractSyntaxUid() === commitment;
      const syntax = context.getTransferSyntaxUids()[0];
      context.setResult(
        known ? PresentationContextResult.Accept : PresentationContextResult.RejectAbstractSyntaxNotSupported,
        syntax
      );
    }
    this.sendAssociationAccept();
  }
  nEventReportRequest(request, callback) {
    callback(told(request, "new"));
  }
  associationReleaseRequested() {
    this.sendAssociationReleaseResponse();
  }
}

new Server(Listener).listen(Number(ownPort));
const request = new requests.NActionRequest(commitment, "1.2.840.10008.1.20.1.1", 1);
request.setDataset(
  new Dataset({
    TransactionUID: Dataset.generateDerivedUid(),
    ReferencedSOPSequence: [
      { ReferencedSOPClassUID: sopClass, ReferencedSOPInstanceUID: sopInstance },
    ],
  })
);
request.on("response", (response) => say({ action: response.getStatus() }));
const client = new Client();
client.addRequest(request);
client.on("nEventReportRequest", (event, callback) => callback(told(event, "same")));
client.on("networkError", (error) => say({ networkError: String(error) }));
client.send("127.0.0.1", Number(serverPort), "DCMJS", "ARCHIVE", {
  associationLingerTimeout: where === "same" ? 5000 : 0,
});
setTimeout(() => process.exit(1), 20000);
