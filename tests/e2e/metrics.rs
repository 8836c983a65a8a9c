//! What a monitoring system gets over HTTP.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use hickory_proto::rr::RecordType;

use crate::query::ask;
use crate::world::{PATIENCE, Server, World, ZONE, addresses, wait_until, write_failover_zone};

const CONFIG: &str = "[control]\nlisten = \"127.0.0.1:0\"\n";

#[test]
fn a_scrape_tells_queries_verdicts_and_reloads() {
    let world = World::new(CONFIG);
    write_failover_zone(&world, addresses(60), 1);
    let server = world.serve();
    let port = port_of(&server);
    assert!(ask(server.address, "www.example.org.", RecordType::A).is_some());
    let metrics = wait_until("the query is counted", || {
        let metrics = get(port, "/metrics");
        (sample(&metrics, "windrose_dns_queries_total{transport=\"udp\"}") >= 1.0).then_some(metrics)
    });
    assert!(metrics.starts_with("HTTP/1.1 200 OK\r\n"), "{metrics}");
    assert!(metrics.ends_with("\n# EOF\n"), "{metrics}");
    assert_eq!(sample(&metrics, "windrose_answering"), 1.0);
    assert_eq!(sample(&metrics, "windrose_endpoints"), 2.0);
    assert_eq!(sample(&metrics, "windrose_probes"), 1.0);
    wait_until("both endpoints are down", || {
        (sample(&get(port, "/metrics"), "windrose_pools_down") == 1.0).then_some(())
    });

    world.write_zone("example.org.toml", "this is wrong");
    assert_eq!(world.run(&["reload"]).status.code(), Some(1));
    let metrics = wait_until("the refusal is told", || {
        let metrics = get(port, "/metrics");
        (sample(&metrics, "windrose_last_reload_refused") == 1.0).then_some(metrics)
    });
    assert!(sample(&metrics, "windrose_reloads_total{result=\"refused\"}") >= 1.0, "{metrics}");
    assert_eq!(sample(&metrics, "windrose_names"), 1.0, "what was served goes on");
}

#[test]
fn status_over_http_is_what_the_command_prints() {
    let world = World::new(CONFIG);
    write_failover_zone(&world, addresses(61), 1);
    let server = world.serve();
    let port = port_of(&server);
    let status = get(port, "/status");
    let (head, body) = status.split_once("\r\n\r\n").expect("a head and a body");
    assert!(head.contains("content-type: application/json"), "{head}");
    let over_http: serde_json::Value = serde_json::from_str(body).expect("JSON");
    let printed = world.run(&["status", "--format", "json"]).stdout;
    let printed: serde_json::Value = serde_json::from_slice(&printed).expect("JSON");
    let keys = |status: &serde_json::Value| {
        status.as_object().expect("an object").keys().cloned().collect::<Vec<_>>()
    };
    assert_eq!(keys(&over_http), keys(&printed));
    assert_eq!(over_http["addresses"], printed["addresses"]);
    assert!(get(port, "/healthz").ends_with("\r\n\r\nanswering\n"));
}

#[test]
fn nonsense_is_refused_and_nothing_can_be_changed() {
    let world = World::new(CONFIG);
    write_failover_zone(&world, addresses(62), 1);
    let mut server = world.serve();
    let port = port_of(&server);
    let long = format!("GET /metrics HTTP/1.1\r\nHost: {}\r\n\r\n", "x".repeat(100_000));
    for garbage in
        ["\0\0\0\r\n\r\n", "GET\r\n\r\n", "\x16\x03\x01\x02\x00\x01\r\n\r\n", "{\"status\":1}\n\n", &long]
    {
        let refused = say(port, garbage.as_bytes());
        assert!(refused.is_empty() || refused.starts_with("HTTP/1.1 4"), "{refused}");
    }
    assert!(get(port, "/").starts_with("HTTP/1.1 404 "));
    assert!(get(port, "/metrics/../control").starts_with("HTTP/1.1 404 "));
    let post = say(port, b"POST /status HTTP/1.1\r\nHost: w\r\nContent-Length: 0\r\n\r\n");
    assert!(post.starts_with("HTTP/1.1 405 ") && post.contains("allow: GET, HEAD"), "{post}");
    assert!(get(port, "/metrics").starts_with("HTTP/1.1 200 "));
    assert!(server.is_running());
}

#[test]
fn a_server_that_has_not_checked_yet_is_not_healthy() {
    let world = World::new(&format!("{CONFIG}[probe]\nsettle = \"60s\"\n"));
    // Whoever connects there waits for a reply, so there is no first opinion.
    let silent = TcpListener::bind((addresses(63)[0], 0)).expect("a port");
    world.write_zone("example.org.zone", ZONE);
    world.write_zone("example.org.toml", &one_patient_endpoint(silent.local_addr().expect("bound")));
    let mut child = world.start(&["serve", "config/windrose.toml"]);
    let log = BufReader::new(child.stderr.take().expect("piped"));
    let line = log.lines().map_while(Result::ok).find(|line| line.contains("metrics at http://"));
    let health = get(port_in(&line.expect("it logs where")), "/healthz");
    child.kill().expect("it runs");
    child.wait().expect("it ended");
    assert!(health.starts_with("HTTP/1.1 503 "), "{health}");
}

#[test]
fn a_port_that_is_taken_is_no_reason_not_to_answer_queries() {
    let taken = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let listen = taken.local_addr().expect("bound");
    let world = World::new(&format!("[control]\nlisten = \"{listen}\"\n"));
    write_failover_zone(&world, addresses(64), 1);
    let server = world.serve();
    server.log.wait_for("no metrics: cannot listen on");
    assert!(ask(server.address, "www.example.org.", RecordType::A).is_some());
}

/// An endpoint whose check waits for half a minute.
fn one_patient_endpoint(address: SocketAddr) -> String {
    format!(
        r#"
        [monitors.web]
        type = "http"
        port = {}
        interval = "60s"
        timeout = "30s"
        [endpoints.first]
        ipv4 = "{}"
        monitors = ["web"]
        [pools.www]
        policy = "failover"
        members = ["first"]
        [names."www"]
        pool = "www"
        "#,
        address.port(),
        address.ip()
    )
}

/// Where it listens for HTTP, as it logged.
fn port_of(server: &Server) -> SocketAddr {
    port_in(&server.log.wait_for("metrics at http://"))
}

fn port_in(line: &str) -> SocketAddr {
    let after = line.split("http://").nth(1).expect("just found");
    after.split('/').next().expect("an address").parse().expect("an address")
}

fn get(address: SocketAddr, path: &str) -> String {
    say(address, format!("GET {path} HTTP/1.1\r\nHost: windrose\r\n\r\n").as_bytes())
}

/// What comes back for these bytes until the server closes.
fn say(address: SocketAddr, said: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).expect("connected");
    stream.set_read_timeout(Some(PATIENCE)).expect("a deadline");
    // A server that has heard enough may close before it has taken all of it, and a reset may take its words along.
    let _ = stream.write_all(said);
    let mut heard = Vec::new();
    let _ = stream.read_to_end(&mut heard);
    String::from_utf8(heard).expect("text")
}

/// The value of one series.
fn sample(metrics: &str, series: &str) -> f64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {series} in\n{metrics}")).parse().expect("a number")
}
