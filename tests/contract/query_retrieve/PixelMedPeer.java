// PixelMed's toolkit as a peer: echo, store, find, get, move over DIMSE, one JVM for all of them.
//
//   java -cp pixelmed.jar PixelMedPeer.java PORT CALLED CALLING FOLDER OPERATION...
//
// OPERATION: echo | store FILE | find PATIENT_ID | get STUDY_INSTANCE_UID | move STUDY_INSTANCE_UID LISTEN_PORT
// Prints a line for each answer; received objects are files of FOLDER named by SOP Instance UID.

import com.pixelmed.dicom.*;
import com.pixelmed.network.*;
import java.io.File;
import java.util.HashSet;
import java.util.Set;

public class PixelMedPeer {
  static final String HOST = "127.0.0.1";
  static int port;
  static String called, calling;
  static File folder;

  public static void main(String[] words) throws Exception {
    port = Integer.parseInt(words[0]);
    called = words[1];
    calling = words[2];
    folder = new File(words[3]);
    for (int at = 4; at < words.length; ++at) {
      switch (words[at]) {
        case "echo" -> {
          new VerificationSOPClassSCU(HOST, port, called, calling, false);
          System.out.println("echoed");
        }
        case "store" -> store(words[++at]);
        case "find" -> find(words[++at]);
        case "get" -> get(words[++at]);
        case "move" -> move(words[++at], Integer.parseInt(words[++at]));
        default -> throw new IllegalArgumentException(words[at]);
      }
    }
    System.out.println("done");
    System.exit(0); // the listener has threads of its own
  }

  static void store(String file) throws Exception {
    StorageSOPClassSCU sent = new StorageSOPClassSCU(HOST, port, called, calling, file, null, null, 0);
    System.out.println(sent.encounteredTrappedExceptions() ? "not stored" : "stored");
  }

  static AttributeList identifier(String level) throws Exception {
    AttributeList made = new AttributeList();
    made.putNewAttribute(TagFromName.QueryRetrieveLevel).addValue(level);
    return made;
  }

  static void find(String patientId) throws Exception {
    AttributeList wanted = identifier("STUDY");
    made(wanted, TagFromName.PatientID, patientId);
    for (AttributeTag tag : new AttributeTag[] {
        TagFromName.StudyInstanceUID, TagFromName.PatientName, TagFromName.StudyDate,
        TagFromName.ModalitiesInStudy}) {
      wanted.putNewAttribute(tag);
    }
    new FindSOPClassSCU(HOST, port, called, calling,
        SOPClass.StudyRootQueryRetrieveInformationModelFind, wanted, new IdentifierHandler() {
          @Override
          public void doSomethingWithIdentifier(AttributeList found) {
            System.out.println("found "
                + Attribute.getSingleStringValueOrEmptyString(found, TagFromName.StudyInstanceUID)
                + " " + Attribute.getSingleStringValueOrEmptyString(found, TagFromName.PatientName));
          }
        });
  }

  static void made(AttributeList list, AttributeTag tag, String value) throws Exception {
    list.putNewAttribute(tag).addValue(value);
  }

  static AttributeList study(String studyInstanceUid) throws Exception {
    AttributeList wanted = identifier("STUDY");
    made(wanted, TagFromName.StudyInstanceUID, studyInstanceUid);
    return wanted;
  }

  static ReceivedObjectHandler told() {
    return new ReceivedObjectHandler() {
      @Override
      public void sendReceivedObjectIndication(String file, String syntax, String from) {
        System.out.println("received " + syntax);
      }
    };
  }

  static void get(String studyInstanceUid) throws Exception {
    Set<String> classes = new HashSet<>();
    classes.add(SOPClass.CTImageStorage);
    classes.add(SOPClass.MRImageStorage);
    new GetSOPClassSCU(HOST, port, called, calling,
        SOPClass.StudyRootQueryRetrieveInformationModelGet, study(studyInstanceUid),
        new IdentifierHandler(), folder, StoredFilePathStrategy.BYSOPINSTANCEUIDINSINGLEFOLDER,
        told(), classes, true, false, false);
    System.out.println("got");
  }

  static void move(String studyInstanceUid, int listenPort) throws Exception {
    StorageSOPClassSCPDispatcher listener = new StorageSOPClassSCPDispatcher(
        listenPort, calling, folder, StoredFilePathStrategy.BYSOPINSTANCEUIDINSINGLEFOLDER, told());
    new Thread(listener).start();
    while (!listener.isReady()) {
      Thread.sleep(20);
    }
    new MoveSOPClassSCU(HOST, port, called, calling, calling,
        SOPClass.StudyRootQueryRetrieveInformationModelMove, study(studyInstanceUid));
    System.out.println("moved");
  }
}
