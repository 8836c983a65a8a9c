//! An endpoint that serves HTTP, and can die in two ways.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use socket2::{Domain, Socket, Type};

/// Serves `200 ok` on an address of 127/8 until it is stopped or dropped.
pub struct Endpoint {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Endpoint {
    /// On this address; port 0: any free one.
    pub fn start(address: Ipv4Addr, port: u16) -> Self {
        let listener = TcpListener::bind((address, port)).expect("an endpoint's port is free");
        let address = listener.local_addr().expect("bound");
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || serve(&listener, &stopped));
        Self { address, stop, thread: Some(thread) }
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// It dies: from now on its port refuses.
    pub fn refuse(&mut self) {
        self.end();
    }

    /// It dies: from now on packets to it vanish. The kernel drops a SYN when the queue of connections that
    /// nobody accepts is full, so its port is taken by somebody who never accepts, and the queue is filled.
    pub fn vanish(&mut self) -> BlackHole {
        self.end();
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.set_reuse_address(true).expect("reuse");
        socket.bind(&self.address.into()).expect("its port is free again");
        socket.listen(1).expect("listening");
        let mut filling = Vec::new();
        while let Ok(stream) = TcpStream::connect_timeout(&self.address, Duration::from_millis(100)) {
            filling.push(stream);
        }
        BlackHole { _listener: socket, _filling: filling }
    }

    fn end(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        self.stop.store(true, Ordering::SeqCst);
        // Wakes it, so that it sees that it shall stop.
        let _ = TcpStream::connect(self.address);
        thread.join().expect("the endpoint ends well");
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.end();
    }
}

/// Swallows packets while it lives.
pub struct BlackHole {
    _listener: Socket,
    _filling: Vec<TcpStream>,
}

fn serve(listener: &TcpListener, stop: &AtomicBool) {
    while let Ok((stream, _)) = listener.accept() {
        if stop.load(Ordering::SeqCst) {
            return;
        }
        let _ = reply(stream);
    }
}

fn reply(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    let mut request = Vec::<u8>::new();
    let mut buffer = [0; 1024];
    while !request.windows(4).any(|window| window == b"\r\n\r\n") {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            length => request.extend(&buffer[..length]),
        }
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n")
}
