//! One who speaks to a NATS server by hand: what no client library would send, and what others send as it is.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::fleet::{NATS_PORT, PASSWORD};
use crate::ground::Host;

/// A connection of a user of the fleet.
pub struct Stranger {
    out: TcpStream,
    heard: BufReader<TcpStream>,
}

/// What a NATS server says.
#[derive(Debug)]
pub enum Said {
    /// Somebody published something.
    Message { subject: String, payload: Vec<u8> },
    /// It refuses something.
    No(String),
    /// It took all that was sent before.
    Pong,
}

impl Stranger {
    /// Logs in from a host.
    pub fn connect(from: &Host, nats: &Host, user: &str) -> Self {
        let out = from.connect(SocketAddr::from((nats.address, NATS_PORT))).expect("it listens");
        out.set_read_timeout(Some(PATIENCE)).expect("it can be set");
        let heard = BufReader::new(out.try_clone().expect("it can be cloned"));
        let mut stranger = Self { out, heard };
        stranger.say(
            format!("CONNECT {{\"user\":\"{user}\",\"pass\":\"{PASSWORD}\",\"verbose\":false}}\r\n")
                .as_bytes(),
        );
        assert!(matches!(stranger.settle(), Said::Pong), "it is let in");
        stranger
    }

    /// Hears what is published from now on.
    pub fn subscribe(&mut self, subjects: &str) {
        self.say(format!("SUB {subjects} 1\r\n").as_bytes());
    }

    /// Publishes something, and waits for what the server says of it: [`Said::Pong`] if nothing.
    pub fn publish(&mut self, subject: &str, payload: &[u8]) -> Said {
        self.announce(subject, payload.len());
        self.say(payload);
        self.say(b"\r\n");
        self.settle()
    }

    /// Says that so many bytes follow.
    pub fn announce(&mut self, subject: &str, bytes: usize) {
        self.say(format!("PUB {subject} {bytes}\r\n").as_bytes());
    }

    /// The next message on a subject.
    pub fn hear(&mut self, wanted: &str) -> Vec<u8> {
        loop {
            match self.next().expect("it goes on") {
                Said::Message { subject, payload } if subject == wanted => return payload,
                Said::No(why) => panic!("{why}"),
                Said::Message { .. } | Said::Pong => {}
            }
        }
    }

    /// The last message on a subject that came so far, and was not heard yet.
    pub fn last_heard(&mut self, wanted: &str) -> Option<Vec<u8>> {
        self.say(b"PING\r\n");
        let mut last = None;
        loop {
            match self.next().expect("it answers") {
                Said::Message { subject, payload } if subject == wanted => last = Some(payload),
                Said::Message { .. } => {}
                Said::Pong => return last,
                Said::No(why) => panic!("{why}"),
            }
        }
    }

    /// Whatever the server says next.
    pub fn next(&mut self) -> io::Result<Said> {
        loop {
            let mut line = String::new();
            if self.heard.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let mut words = line.split_whitespace();
            match words.next() {
                Some("MSG") => {
                    let subject = words.next().expect("a subject").to_owned();
                    let bytes: usize = words.next_back().expect("a length").parse().expect("a number");
                    let mut payload = vec![0; bytes + 2];
                    self.heard.read_exact(&mut payload)?;
                    payload.truncate(bytes);
                    return Ok(Said::Message { subject, payload });
                }
                Some("-ERR") => return Ok(Said::No(line)),
                Some("PONG") => return Ok(Said::Pong),
                Some("PING") => self.say(b"PONG\r\n"),
                _ => {}
            }
        }
    }

    /// What it says to all that was sent so far, messages aside.
    fn settle(&mut self) -> Said {
        self.say(b"PING\r\n");
        loop {
            match self.next().expect("it answers") {
                Said::Message { .. } => {}
                said => return said,
            }
        }
    }

    fn say(&mut self, bytes: &[u8]) {
        self.out.write_all(bytes).expect("it listens");
    }
}

/// Nothing takes longer.
const PATIENCE: Duration = Duration::from_secs(60);
