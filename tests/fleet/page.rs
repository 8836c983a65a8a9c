//! What a server shows over HTTP.

use std::io::{Read, Write};
use std::net::SocketAddr;

use crate::ground::Host;

/// Gets a page, its head included.
pub fn get(from: &Host, at: SocketAddr, path: &str) -> String {
    let mut stream = from.connect(at).expect("somebody listens");
    let request = format!("GET {path} HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("it is sent");
    let mut reply = String::new();
    stream.read_to_string(&mut reply).expect("it is answered");
    reply
}
