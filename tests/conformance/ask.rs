//! Sending packets, and getting what comes back. Whether a packet gets no reply is seen without waiting for one: a
//! plain query behind it is answered, and nothing before that.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};

use crate::query;
use crate::world::PATIENCE;

/// A client, with a socket of each kind.
pub struct Client {
    udp: UdpSocket,
    server: SocketAddr,
    tcp: Option<TcpStream>,
}

impl Client {
    /// One that asks this server only.
    pub fn of(server: SocketAddr) -> Self {
        Self { udp: udp("127.0.0.1:0", server), server, tcp: None }
    }

    /// What a datagram is answered with, if it is.
    pub fn over_udp(&mut self, packet: &[u8]) -> Vec<Vec<u8>> {
        for packet in [packet, &last_question()] {
            self.udp.send(packet).expect("it is sent");
        }
        replies_before_last(|| datagram(&self.udp))
    }

    /// What a message in a stream is answered with, if it is.
    pub fn over_tcp(&mut self, packet: &[u8]) -> Vec<Vec<u8>> {
        let stream = self.tcp.get_or_insert_with(|| connect(self.server));
        stream.write_all(&[framed(packet), framed(&last_question())].concat()).expect("it is sent");
        replies_before_last(|| message(stream).expect("a reply"))
    }
}

/// A socket that hears from one server only.
pub fn udp(own: &str, server: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind(own).expect("a socket");
    socket.connect(server).expect("loopback");
    socket.set_read_timeout(Some(PATIENCE)).expect("a deadline");
    socket
}

/// A connection to a server.
pub fn connect(server: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(server).expect("it is accepted");
    stream.set_read_timeout(Some(PATIENCE)).expect("a deadline");
    stream.set_nodelay(true).expect("an option");
    stream
}

/// The next datagram.
pub fn datagram(socket: &UdpSocket) -> Vec<u8> {
    let mut octets = vec![0; 1 << 16];
    let length = socket.recv(&mut octets).expect("a reply");
    octets.truncate(length);
    octets
}

/// The next message of a stream; an error if the other side ends it.
pub fn message(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut octets = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut octets)?;
    Ok(octets)
}

/// A message behind its length.
pub fn framed(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u16).to_be_bytes(), message].concat()
}

fn replies_before_last(mut receive: impl FnMut() -> Vec<u8>) -> Vec<Vec<u8>> {
    let last = LAST_ID.to_be_bytes();
    std::iter::from_fn(|| Some(receive()).filter(|reply| !reply.starts_with(&last))).collect()
}

fn last_question() -> Vec<u8> {
    query::packet("example.org SOA", LAST_ID).expect("a query")
}

/// The ID of the query whose answer ends the wait for others.
const LAST_ID: u16 = 0xFFFF;
