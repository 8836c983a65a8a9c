//! Somebody is told over HTTP of what happens.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver};

use serde_json::Value;

use crate::endpoint::Endpoint;
use crate::world::{PATIENCE, World, ZONE, addresses, write_failover_zone};

#[test]
fn the_death_of_an_endpoint_is_posted_to_whoever_wants_to_know() {
    let webhook = Webhook::start();
    let events = "events = [\"turned\"]\ntoken_file = \"token\"\n";
    let world = World::new(&format!("[machine]\nname = \"ns1\"\n{}{events}", webhook.table()));
    std::fs::write(world.path("config/token"), "sesame\n").expect("written");
    let places = addresses(43);
    let first = Endpoint::start(places[0], 0);
    let _second = Endpoint::start(places[1], first.port());
    write_failover_zone(&world, places, first.port());
    let _server = world.serve();
    drop(first);
    let (posted, turned) = loop {
        let posted = webhook.next();
        let events = posted.body["events"].as_array().expect("a list").clone();
        assert!(events.iter().all(|event| event["data"]["event"] == "turned"), "{}", posted.body);
        if let Some(turned) = events.into_iter().find(|event| event["data"]["to"] == "down") {
            break (posted, turned);
        }
    };
    assert_eq!(posted.line, "POST /hook HTTP/1.1");
    assert!(posted.head.contains(&"authorization: Bearer sesame".to_owned()), "{:?}", posted.head);
    assert!(posted.head.contains(&"content-type: application/json".to_owned()), "{:?}", posted.head);
    assert_eq!((&posted.body["server"], &posted.body["missed"]), (&"ns1".into(), &0.into()));
    assert_eq!((&turned["data"]["endpoint"], &turned["data"]["alarm"]), (&"first".into(), &false.into()));
    assert!(turned["text"].as_str().expect("text").contains("first Up -> Down (1 of 1 probes"), "{turned}");
    assert!(turned["at"].as_u64().is_some_and(|at| at > 1_700_000_000_000), "{turned}");
    let status = world.run(&["status"]);
    let status = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(status.contains("events taken, 0 lost"), "{status}");
}

#[test]
fn zones_that_are_refused_raise_an_alarm_in_a_chat() {
    let webhook = Webhook::start();
    let events = "format = \"text\"\nevents = [\"alarm\"]\n";
    let head = "[probe]\nenabled = false\n[machine]\nname = \"ns1\"\n";
    let world = World::new(&format!("{head}{}{events}", webhook.table()));
    world.write_zone("example.org.zone", ZONE);
    let mut server = world.serve();
    world.write_zone("example.org.zone", "@ IN SOA broken");
    let Posted { body, .. } = webhook.next();
    let text = body["text"].as_str().expect("a text for people");
    assert!(text.starts_with("ns1: ") && text.contains("the files are wrong"), "{text}");
    assert!(text.contains("error[") && text.contains("example.org.zone:1"), "{text}");
    assert_eq!(body.as_object().expect("an object").len(), 1, "chats want nothing else: {body}");
    assert!(server.is_running());
}

#[test]
fn whether_it_arrives_can_be_tried() {
    let webhook = Webhook::start();
    let world = World::new(&format!("[machine]\nname = \"ns1\"\n{}", webhook.table()));
    let tried = world.run(&["notify"]);
    assert_eq!(String::from_utf8_lossy(&tried.stdout), "taken: 200 OK: thanks\n", "{tried:?}");
    assert_eq!(webhook.next().body["events"][0]["data"]["event"], "test");
    let nobody = World::new("").run(&["notify"]);
    assert_eq!(nobody.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&nobody.stderr).contains("there is no [notify]"), "{nobody:?}");
    drop(webhook);
    let gone = world.run(&["notify"]);
    assert_eq!(gone.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&gone.stderr).contains("was not taken"), "{gone:?}");
}

/// Takes whatever is posted to it, until it is dropped.
struct Webhook {
    address: SocketAddr,
    posted: Receiver<Posted>,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// A request as it came.
struct Posted {
    line: String,
    head: Vec<String>,
    body: Value,
}

impl Webhook {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
        let address = listener.local_addr().expect("bound");
        let (passed_on, posted) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            // Whoever says nothing ends it.
            while let Some(request) = listener.accept().ok().and_then(|(stream, _)| take(&stream)) {
                let _ = passed_on.send(request);
            }
        });
        Self { address, posted, thread: Some(thread) }
    }

    /// `[notify]`, open for more.
    fn table(&self) -> String {
        format!("[notify]\nurl = \"http://{}/hook\"\n", self.address)
    }

    fn next(&self) -> Posted {
        self.posted.recv_timeout(PATIENCE).expect("something is posted")
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Reads one request and replies to it; `None`: there was none.
fn take(mut stream: &TcpStream) -> Option<Posted> {
    stream.set_read_timeout(Some(PATIENCE)).expect("a time limit");
    let mut lines = BufReader::new(stream);
    let mut line = || {
        let mut line = String::new();
        lines.read_line(&mut line).ok()?;
        Some(line.trim_end().to_owned()).filter(|line| !line.is_empty())
    };
    let first = line()?;
    let head: Vec<String> = std::iter::from_fn(line).collect();
    let length = head.iter().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
    let mut body = vec![0; length.parse().expect("a number")];
    lines.read_exact(&mut body).expect("a whole request");
    let reply = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nthanks";
    stream.write_all(reply.as_bytes()).expect("it waits for a reply");
    Some(Posted { line: first, head, body: serde_json::from_slice(&body).expect("it is JSON") })
}
