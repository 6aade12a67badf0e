/**
 * QuPath script: scores the open slide at a Mitoserve and imports what it finds.
 * For Research Use Only. Not for use in diagnostic procedures.
 *
 * Set SERVER; where it asks for a key, start QuPath with the environment variable MITOSIS_KEY.
 * A slide of one file is sent as it is; of several files (MRXS, DICOM folders) bring a zip by other means first.
 */
import com.google.gson.JsonObject
import com.google.gson.JsonParser
import java.net.http.HttpClient
import java.net.http.HttpRequest
import java.net.http.HttpRequest.BodyPublishers
import java.net.http.HttpResponse.BodyHandlers
import java.nio.file.Paths
import qupath.lib.io.GsonTools

def SERVER = "http://localhost:3000"
def POLL_MS = 2000

def client = HttpClient.newHttpClient()
def key = System.getenv("MITOSIS_KEY") ?: System.getenv("MITOSERVE_KEY") // its former name

def send = { String method, String path, body, Map headers ->
    def request = HttpRequest.newBuilder(URI.create(path.startsWith("http") ? path : SERVER + path)).method(method, body)
    headers.each { name, value -> request.header(name, value) }
    if (key) request.header("Authorization", "Bearer " + key)
    def response = client.send(request.build(), BodyHandlers.ofString())
    if (response.statusCode() >= 300)
        throw new IOException("Mitoserve answered " + response.statusCode() + ": " + response.body())
    return response.body()
}
def json = { String text -> JsonParser.parseString(text).getAsJsonObject() }

def server = getCurrentServer()
def uris = server.getURIs() as List
if (uris.size() != 1) throw new IllegalStateException("This slide is several files; bring it to the server as a zip.")
def file = Paths.get(uris[0])
def name = URLEncoder.encode(file.getFileName().toString(), "UTF-8").replace("+", "%20")

print "Sending " + file
def slide = json(send("POST", "/v1/slides?filename=" + name, BodyPublishers.ofFile(file), ["Content-Type": "application/octet-stream"]))

def wanted = new JsonObject()
wanted.addProperty("slide", slide.get("id").getAsString())
if (slide.get("mpp").isJsonNull()) {
    def mpp = server.getPixelCalibration().getAveragedPixelSizeMicrons()
    if (Double.isNaN(mpp)) throw new IllegalStateException("Set the pixel size of the image in QuPath first.")
    def options = new JsonObject()
    options.addProperty("mpp", mpp)
    wanted.add("options", options)
}
def analysis = json(send("POST", "/v1/analyses", BodyPublishers.ofString(wanted.toString()), ["Content-Type": "application/json"]))
def self = analysis.getAsJsonObject("links").get("self").getAsString()
while (analysis.get("state").getAsString() in ["queued", "running"]) {
    Thread.sleep(POLL_MS)
    analysis = json(send("GET", self, BodyPublishers.noBody(), [:]))
    def progress = analysis.getAsJsonObject("progress")
    print analysis.get("state").getAsString() + " " + progress.get("tiles_done") + " of " + progress.get("tiles_total")
}
if (analysis.get("state").getAsString() != "succeeded")
    throw new IllegalStateException("The analysis " + analysis.get("state").getAsString() + ": " + analysis.get("detail"))

def found = json(send("GET", self + "/report", BodyPublishers.noBody(), ["Accept": "application/geo+json"]))
def type = new com.google.gson.reflect.TypeToken<List<qupath.lib.objects.PathObject>>() {}.getType()
List<qupath.lib.objects.PathObject> objects = GsonTools.getInstance().fromJson(found.getAsJsonArray("features"), type)
addObjects(objects)
print objects.size() + " objects imported. For Research Use Only. Not for use in diagnostic procedures."
