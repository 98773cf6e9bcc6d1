// The HTTP client of the JDK: `java EventStream.java HOW ADDRESS QUERY`. Prints `seq N` for each event of a run. `loop` comes
// back with the last cursor.

import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

public class EventStream {
    static final Pattern SEQ = Pattern.compile("\"type\":\"scrape_progress\".*?\"seq\":(\\d+)");
    static String cursor;

    public static void main(String[] args) throws Exception {
        HttpClient client = HttpClient.newHttpClient();
        do {
            try {
                HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(args[1] + "api/events?" + args[2]));
                if (cursor != null) request.header("Last-Event-ID", cursor);
                String[] id = {null};
                client.send(request.build(), BodyHandlers.ofLines()).body().forEach(line -> {
                    if (line.startsWith("id: ")) id[0] = line.substring(4);
                    Matcher seq = SEQ.matcher(line);
                    if (line.startsWith("data: ") && seq.find()) {
                        System.out.println("seq " + seq.group(1));
                        System.out.flush();
                    }
                    if (line.isEmpty() && id[0] != null) cursor = id[0];
                });
            } catch (Exception error) {
                System.err.println(error);
            }
            if (args[0].equals("loop")) Thread.sleep(1000);
        } while (args[0].equals("loop"));
    }
}
