import ca.uhn.hl7v2.DefaultHapiContext;
import ca.uhn.hl7v2.HL7Exception;
import ca.uhn.hl7v2.app.Connection;
import ca.uhn.hl7v2.app.HL7Service;
import ca.uhn.hl7v2.llp.MinLowerLayerProtocol;
import ca.uhn.hl7v2.model.Message;
import ca.uhn.hl7v2.protocol.ReceivingApplication;
import ca.uhn.hl7v2.util.Terser;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.util.Map;

/** HAPI as receiver and sender: it prints what it receives, sends each line that it reads, prints the answer. */
public class HapiPeer implements ReceivingApplication<Message> {
    private static PrintStream out;

    public static void main(String[] ports) throws Exception {
        out = new PrintStream(System.out, true, "UTF-8");
        try (DefaultHapiContext context = new DefaultHapiContext()) {
            context.setLowerLayerProtocol(new MinLowerLayerProtocol(true)); // character sets as MSH-18 says
            HL7Service server = context.newServer(Integer.parseInt(ports[0]), false);
            server.registerApplication(new HapiPeer());
            server.startAndWait();
            Connection connection = context.newClient("127.0.0.1", Integer.parseInt(ports[1]), false);
            out.println("ready");
            BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, "UTF-8"));
            for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                Message sent = context.getPipeParser().parse(line.replace("\\r", "\r"));
                Message received = connection.getInitiator().sendAndReceive(sent);
                Terser answer = new Terser(received);
                out.println(String.join("\t", "answered", received.getName(), answer.get("/MSA-1"), answer.get("/MSA-2")));
            }
            connection.close();
            server.stopAndWait();
        }
    }

    public boolean canProcess(Message message) {
        return true;
    }

    public Message processMessage(Message message, Map<String, Object> metadata) throws HL7Exception {
        Terser read = new Terser(message);
        StringBuilder said = new StringBuilder("received\t" + message.getName());
        for (String place : new String[] {"PID-3-1", "PID-5-1", "PID-5-2", "OBR-18", "OBR-25"}) {
            said.append('\t').append(read.get("/." + place));
        }
        for (int place = 0; read.get("/.OBSERVATION(" + place + ")/OBX-2") != null; place++) {
            said.append('\t').append(read.get("/.OBSERVATION(" + place + ")/OBX-5"));
        }
        out.println(said);
        try {
            return message.generateACK();
        } catch (IOException error) {
            throw new HL7Exception(error);
        }
    }
}
