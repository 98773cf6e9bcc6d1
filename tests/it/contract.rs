//! The contract as machines read it: served, up to date, and what a gateway really does.

use crate::{
    auth::refusal,
    harness::{Gateway, World, Ws, frames},
    truth::Pair,
};
use jsonschema::Validator;
use oddswire_protocol::{close::CloseCode, envelope::MessageType, problem::ProblemCode, server::ErrorData};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// What a gateway serves of its contract.
struct Contract {
    openapi: Value,
    asyncapi: Value,
}

impl Contract {
    async fn of(gateway: &Gateway) -> Self {
        let (_, openapi) = gateway.get("/api/openapi.json").await;
        let (_, asyncapi) = gateway.get("/api/asyncapi.json").await;
        Self { openapi, asyncapi }
    }

    /// What is wrong with an answer to `method path`, the path as the document has it.
    fn faults(&self, method: &str, path: &str, status: u16, body: &Value) -> Vec<String> {
        let answer = &self.openapi["paths"][path][method]["responses"][status.to_string()];
        let Some(content) = answer["content"].as_object() else {
            return vec![format!("{method} {path}: no answer {status} with a body")];
        };
        let schema = &content.values().next().unwrap()["schema"];
        faults(&within_document(schema, &self.openapi), body)
    }

    fn check(&self, method: &str, path: &str, (status, body): (u16, Value)) -> Value {
        let faults = self.faults(method, path, status, &body);
        assert!(faults.is_empty(), "{method} {path}: {status} {faults:?}\n{body}");
        body
    }

    /// What is wrong with a message, or with a command of a client.
    fn message_faults(&self, word: &str, message: &Value) -> Vec<String> {
        let payload = &self.asyncapi["components"]["messages"][word]["payload"];
        assert!(payload.is_object(), "{word} is no message");
        faults(&within_document(payload, &self.asyncapi), message)
    }
}

/// A part of a document, with what it refers to.
fn within_document(schema: &Value, document: &Value) -> Validator {
    let mut schema = schema.clone();
    schema["components"] = json!({ "schemas": document["components"]["schemas"] });
    validator(&schema)
}

fn validator(schema: &Value) -> Validator {
    jsonschema::draft202012::options().build(schema).unwrap()
}

fn faults(validator: &Validator, value: &Value) -> Vec<String> {
    let found = validator.iter_errors(value);
    found
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect()
}

#[tokio::test]
async fn the_contract_needs_no_token_and_is_not_sent_twice() {
    let world = World::new().await;
    let gateway = world.guarded().await;
    let client = reqwest::Client::new();
    let (_, index) = gateway.get("/api/schemas/").await;
    let schemas = index["schemas"].as_array().unwrap();
    assert!(schemas.len() > 20, "{index}");
    let urls = schemas.iter().map(|schema| schema["url"].as_str().unwrap());
    let mut of = urls
        .map(|url| (url, "application/schema+json"))
        .collect::<Vec<_>>();
    of.extend([
        ("/api/openapi.json", "application/json"),
        ("/api/asyncapi.json", "application/json"),
    ]);
    for (path, media_type) in of {
        let answer = gateway.send(client.get(gateway.url(path))).await;
        assert_eq!(answer.status(), 200, "{path}");
        assert_eq!(answer.headers()["content-type"], media_type, "{path}");
        let tag = answer.headers()["etag"].clone();
        let body: Value = answer.json().await.unwrap();
        assert!(body.is_object(), "{path}");
        let again = client.get(gateway.url(path)).header("if-none-match", tag);
        assert_eq!(gateway.send(again).await.status(), 304, "{path}");
    }
    // Here it ends.
    let (status, code, _) = refusal(gateway.send(client.get(gateway.url("/api/odds"))).await).await;
    assert_eq!((status, code.as_str()), (401, "token_missing"));
    let unknown = gateway.send(client.get(gateway.url("/api/schemas/none"))).await;
    assert_eq!(refusal(unknown).await.0, 404);
}

fn top() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[test]
fn the_committed_documents_are_current() {
    for (name, text) in oddswire_gateway::http::contract::files() {
        let found = fs::read_to_string(top().join(name)).unwrap_or_default();
        assert!(found == text, "{name} is stale: run `cargo xtask types`");
    }
}

/// The pages of a folder of the docs, by name.
fn pages(folder: &str) -> BTreeMap<String, String> {
    let files = fs::read_dir(top().join("docs").join(folder)).unwrap();
    files
        .map(|file| {
            let path = file.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, fs::read_to_string(path).unwrap())
        })
        .collect()
}

/// Pages that are missing or nobody's, and those that their index does not name.
fn astray(folder: &str, codes: &BTreeSet<String>) -> Vec<String> {
    let pages: BTreeSet<String> = pages(folder).into_keys().collect();
    let index = fs::read_to_string(top().join(format!("docs/{folder}.md"))).unwrap();
    let named = |code: &str| index.contains(&format!("({folder}/{code}.md)"));
    let unnamed = codes.iter().filter(|code| !named(code));
    pages
        .symmetric_difference(codes)
        .chain(unnamed)
        .cloned()
        .collect()
}

#[test]
fn every_code_has_a_page_and_every_page_a_code() {
    let message = serde_json::to_value(oddswire_protocol::schema::of::<ErrorData>()).unwrap();
    let words = message["$defs"]["ErrorCode"]["oneOf"].as_array().unwrap();
    let of_messages = words.iter().map(|word| word["const"].as_str().unwrap());
    let of_problems = ProblemCode::ALL.iter().map(|code| code.as_str());
    let mut codes: BTreeSet<String> = of_messages.chain(of_problems).map(str::to_owned).collect();
    assert!(codes.len() > 30);
    assert_eq!(astray("errors", &codes), Vec::<String>::new());
    codes.insert("no_such_code".to_owned());
    assert_eq!(astray("errors", &codes), ["no_such_code", "no_such_code"]);

    // 1006 is what a client sees; nobody sends it.
    let sent = CloseCode::ALL.map(CloseCode::code);
    let codes = sent.into_iter().chain([1006]).map(|code| code.to_string());
    assert_eq!(astray("close-codes", &codes.collect()), Vec::<String>::new());
}

#[test]
fn the_page_of_a_problem_names_its_statuses() {
    let pages = pages("errors");
    for code in ProblemCode::ALL {
        let (name, statuses) = (code.as_str(), code.statuses());
        for status in statuses {
            assert!(pages[name].contains(&status.to_string()), "{name}: {status}");
        }
    }
}

/// Whether this is the answer of an address that does not exist, or not for this method.
async fn is_nowhere(gateway: &Gateway, method: &str, url: String) -> bool {
    let request = reqwest::Client::new().request(method.parse().unwrap(), url);
    let answer = gateway.send(request).await;
    if answer.status() == 405 {
        return true;
    }
    if answer.status() != 404 {
        return false;
    }
    let problem: Value = answer.json().await.unwrap_or_default();
    // What is not there below an address that is says so in other words.
    let detail = problem["detail"].as_str().unwrap_or("there is nothing at");
    detail.starts_with("there is nothing at")
}

#[tokio::test]
async fn every_operation_of_the_document_is_answered_and_no_other_method_is() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    let contract = Contract::of(&gateway).await;
    let paths = contract.openapi["paths"].as_object().unwrap();
    assert!(paths.len() > 15);
    for (path, item) in paths {
        let filled = path
            .replace("{run_id}", "x")
            .replace("{event_id}", "x")
            .replace("{name}", "x");
        let url = if item["servers"].is_array() {
            format!("{}{filled}", gateway.ops)
        } else {
            gateway.url(&filled)
        };
        for method in ["get", "post", "put", "delete"] {
            let nowhere = is_nowhere(&gateway, &method.to_uppercase(), url.clone()).await;
            assert_eq!(nowhere, item[method].is_null(), "{method} {path}");
        }
    }
    assert!(is_nowhere(&gateway, "GET", gateway.url("/api/nothing")).await);
}

/// Holds every message against the served schemas, both those of AsyncAPI and the single ones.
struct Listener<'a> {
    contract: &'a Contract,
    envelope: Validator,
    data: Vec<(String, Validator)>,
    seen: BTreeSet<String>,
}

impl<'a> Listener<'a> {
    async fn new(gateway: &Gateway, contract: &'a Contract) -> Self {
        let (_, envelope) = gateway.get("/api/schemas/envelope").await;
        let mut data = Vec::new();
        for message_type in MessageType::ALL {
            let word = message_type.as_str();
            let (status, schema) = gateway.get(&format!("/api/schemas/message.{word}")).await;
            assert_eq!(status, 200, "{word}");
            data.push((word.to_owned(), validator(&schema)));
        }
        Self {
            contract,
            envelope: validator(&envelope),
            data,
            seen: BTreeSet::new(),
        }
    }

    fn faults(&self, message: &Value) -> Vec<String> {
        let word = message["type"].as_str().unwrap_or_default();
        let mut found = faults(&self.envelope, message);
        match self.data.iter().find(|(known, _)| known == word) {
            Some((_, data)) => {
                found.extend(faults(data, &message["data"]));
                found.extend(self.contract.message_faults(word, message));
            }
            None => found.push(format!("there is no type {word}")),
        }
        found
    }

    /// Takes a message in; tells its type, and the run that it ends.
    fn hear(&mut self, text: &str) -> (String, Option<String>) {
        let message: Value = serde_json::from_str(frames::check(text)).unwrap();
        let found = self.faults(&message);
        assert!(found.is_empty(), "{found:?}\n{text}");
        let word = message["type"].as_str().unwrap().to_owned();
        self.seen.insert(word.clone());
        let ends = message["data"]["status"]
            .as_str()
            .is_some_and(|status| ["completed", "failed", "cancelled"].contains(&status));
        let run = ends.then(|| message["data"]["run_id"].as_str().unwrap().to_owned());
        (word, run)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_message_and_every_answer_around_a_run_is_of_its_schema() {
    let pair = Pair::new().await;
    let gateway = &pair.gateway;
    let contract = Contract::of(gateway).await;
    let mut listener = Listener::new(gateway, &contract).await;
    let mut socket = gateway.ws("since=snapshot").await;
    let mut stream = gateway.sse("since=snapshot").await;
    let started = gateway.post("/api/scrapes", "").await;
    let started = contract.check("post", "/api/scrapes", started);
    let runs: BTreeSet<String> = started["runs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|run| run["run_id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(runs.len(), 4);
    let (mut open_here, mut open_there) = (runs.clone(), runs.clone());
    while !open_here.is_empty() {
        if let (_, Some(run)) = listener.hear(&socket.text().await) {
            open_here.remove(&run);
        }
    }
    while !open_there.is_empty() {
        if let (_, Some(run)) = listener.hear(&stream.next().await.data) {
            open_there.remove(&run);
        }
    }
    say_everything(&contract, &mut listener, &mut socket).await;
    for word in [
        "connection_ack",
        "caught_up",
        "scrape_progress",
        "odds_update",
        "odds_confirmed",
        "subscription_ack",
        "heartbeat",
        "pong",
        "error",
    ] {
        assert!(
            listener.seen.contains(word),
            "{word} did not come: {:?}",
            listener.seen
        );
    }
    let run = runs.first().unwrap();
    ask_everything(gateway, &contract, run).await;
    be_refused(gateway, &contract).await;
    notice_alterations(gateway, &contract, &listener, run).await;
}

/// Every command, and what a gateway says to those that are none.
async fn say_everything(contract: &Contract, listener: &mut Listener<'_>, socket: &mut Ws) {
    for (command, answer) in [
        (json!({"type": "ping", "ref": 7}), "pong"),
        (
            json!({"type": "subscribe", "topics": ["odds_updates.soccer"], "since": "snapshot", "conflate_ms": 5, "ref": "a"}),
            "subscription_ack",
        ),
        (
            json!({"type": "unsubscribe", "topics": ["odds_updates.soccer"]}),
            "subscription_ack",
        ),
        (json!({"type": "auth", "token": "x"}), "error"),
    ] {
        let word = command["type"].as_str().unwrap();
        assert_eq!(contract.message_faults(word, &command), [""; 0]);
        socket.send(&command.to_string()).await;
        while listener.hear(&socket.text().await).0 != answer {}
    }
    for bad in [
        json!({"type": "subscribe", "topics": "x"}),
        json!({"type": "ping", "ref": {}}),
    ] {
        let word = bad["type"].as_str().unwrap();
        assert!(!contract.message_faults(word, &bad).is_empty(), "{bad}");
        socket.send(&bad.to_string()).await;
        while listener.hear(&socket.text().await).0 != "error" {}
    }
    while !listener.seen.contains("heartbeat") {
        listener.hear(&socket.text().await);
    }
}

/// Every address that answers with JSON.
async fn ask_everything(gateway: &Gateway, contract: &Contract, run: &str) {
    for path in [
        "/api/scrapes",
        "/api/odds",
        "/api/sources",
        "/api/workers",
        "/api/schemas/",
    ] {
        contract.check("get", path, gateway.get(path).await);
    }
    let (_, board) = gateway.get("/api/odds?limit=2").await;
    assert!(!board["next_page"].is_null() && !board["confirmed"].as_object().unwrap().is_empty());
    contract.check("get", "/api/odds", (200, board.clone()));
    let event = board["markets"][0]["event"]["event_id"].as_str().unwrap();
    let history = gateway.get(&format!("/api/odds/{event}/history")).await;
    let history = contract.check("get", "/api/odds/{event_id}/history", history);
    assert!(!history["images"].as_array().unwrap().is_empty());
    let shown = gateway.get(&format!("/api/scrapes/{run}")).await;
    contract.check("get", "/api/scrapes/{run_id}", shown);
    let over = gateway.post(&format!("/api/scrapes/{run}/cancel"), "").await;
    contract.check("post", "/api/scrapes/{run_id}/cancel", over);
}

/// Problems of many kinds.
async fn be_refused(gateway: &Gateway, contract: &Contract) {
    for (path, asked, code) in [
        ("/api/scrapes/{run_id}", "/api/scrapes/none", "unknown_run"),
        (
            "/api/scrapes/{run_id}/events",
            "/api/scrapes/none/events",
            "unknown_run",
        ),
        ("/api/scrapes", "/api/scrapes?limit=501", "invalid_query"),
        ("/api/odds", "/api/odds?limit=0", "invalid_query"),
        (
            "/api/odds/{event_id}/history",
            "/api/odds/A/history",
            "invalid_query",
        ),
        ("/api/events", "/api/events?topics=bogus", "invalid_topic"),
        ("/api/events", "/api/events?conflate_ms=60001", "invalid_query"),
        ("/api/ws", "/api/ws", "not_a_websocket"),
        ("/api/schemas/{name}", "/api/schemas/none", "not_found"),
    ] {
        let problem = contract.check("get", path, gateway.get(asked).await);
        assert_eq!(problem["code"], code, "{asked}");
    }
    for (path, asked, body, code) in [
        (
            "/api/scrapes",
            "/api/scrapes",
            r#"{"sources":["zulu"]}"#,
            "unknown_source",
        ),
        ("/api/scrapes", "/api/scrapes", "{", "invalid_body"),
        (
            "/api/scrapes",
            "/api/scrapes",
            r#"{"retry_of":"none"}"#,
            "unknown_run",
        ),
        (
            "/api/scrapes/{run_id}/cancel",
            "/api/scrapes/none/cancel",
            "",
            "unknown_run",
        ),
        ("/api/tickets", "/api/tickets", "", "auth_disabled"),
    ] {
        let problem = contract.check("post", path, gateway.post(asked, body).await);
        assert_eq!(problem["code"], code, "{asked} {body}");
    }
}

/// A validator that lets everything through would be none.
async fn notice_alterations(gateway: &Gateway, contract: &Contract, listener: &Listener<'_>, run: &str) {
    let (_, board) = gateway.get("/api/odds").await;
    for (place, value) in [
        ("/cursor", Value::Null),
        ("/markets/0/market/quotes/0/status", json!("ajar")),
        ("/markets/0/event/commence_time", json!("2026-02-06T01:30:00Z")),
        ("/markets/0/source", json!("A B")),
    ] {
        let mut altered = board.clone();
        *altered.pointer_mut(place).unwrap() = value;
        assert!(
            !contract.faults("get", "/api/odds", 200, &altered).is_empty(),
            "{place}"
        );
    }
    let (status, problem) = gateway.get("/api/scrapes/none").await;
    for (place, value) in [
        ("/code", json!("zzz")),
        ("/status", json!(400)),
        ("/detail", json!(1)),
    ] {
        let mut altered = problem.clone();
        *altered.pointer_mut(place).unwrap() = value;
        let found = contract.faults("get", "/api/scrapes/{run_id}", status, &altered);
        assert!(!found.is_empty(), "{place}");
    }
    let (_, image) = gateway.get(&format!("/api/scrapes/{run}")).await;
    let message = json!({"type": "scrape_progress", "timestamp": "2026-02-06T01:30:00.123Z", "data": image});
    assert_eq!(listener.faults(&message), [""; 0]);
    for (place, value) in [
        ("/type", json!("heartbeat")),
        ("/timestamp", json!("2026-02-06 01:30")),
        ("/data/status", json!("done")),
        ("/data/seq", json!("1")),
    ] {
        let mut altered = message.clone();
        *altered.pointer_mut(place).unwrap() = value;
        assert!(!listener.faults(&altered).is_empty(), "{place}");
    }
    let mut more = message.clone();
    more["more"] = json!(1);
    more["data"]["more"] = json!(1);
    assert_eq!(listener.faults(&more), [""; 0], "later releases may add keys");
}
