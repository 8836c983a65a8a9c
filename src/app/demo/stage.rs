//! The endpoints of the demo: they really serve HTTP, and can be stopped and started.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::model::Reach;
use crate::plan::Plan;

/// The endpoints, in the order of their keys: 1, 2, 3.
pub(super) struct Stage {
    actors: Vec<Actor>,
}

struct Actor {
    name: String,
    region: String,
    address: SocketAddr,
    serving: Option<tokio::task::JoinHandle<()>>,
    died: Option<Instant>,
}

impl Stage {
    /// Starts an HTTP server on the IPv4 address of each endpoint.
    pub(super) async fn open(plan: &Plan, port: u16) -> io::Result<Self> {
        let mut actors = Vec::new();
        for endpoint in &plan.inventory.endpoints {
            let Reach::Addresses { v4: Some(address), .. } = endpoint.reach else { continue };
            let region = endpoint.region.map(|id| plan.inventory.regions[id.index()].name.to_string());
            let mut actor = Actor {
                name: endpoint.name.to_string(),
                region: region.unwrap_or_default(),
                address: SocketAddr::from((address, port)),
                serving: None,
                died: None,
            };
            actor.start().await?;
            actors.push(actor);
        }
        Ok(Self { actors })
    }

    /// Stops or starts the endpoint of a key; `None`: no endpoint has this key.
    pub(super) async fn toggle(&mut self, key: char) -> Option<String> {
        let index = key.to_digit(10)?.checked_sub(1)? as usize;
        let actor = self.actors.get_mut(index)?;
        if let Some(serving) = actor.serving.take() {
            serving.abort();
            let _ = serving.await;
            actor.died = Some(Instant::now());
            return Some(format!("  stopped   {} (its port refuses now)", actor.name));
        }
        Some(match actor.start().await {
            Ok(()) => format!("  started   {}", actor.name),
            Err(error) => format!("  {} cannot start: {error}", actor.name),
        })
    }

    /// The endpoint at an address, and how long ago it died if it is dead.
    pub(super) fn at(&self, address: std::net::IpAddr) -> Option<(&str, Option<Duration>)> {
        let actor = self.actors.iter().find(|actor| actor.address.ip() == address)?;
        Some((&actor.name, actor.died.map(|died| died.elapsed())))
    }

    /// A line for each endpoint.
    pub(super) fn listing(&self) -> impl Iterator<Item = String> {
        self.actors
            .iter()
            .map(|actor| format!("{}  in {}  http://{}/", actor.name, actor.region, actor.address))
    }

    /// What the keys do.
    pub(super) fn keys(&self) -> String {
        let keys =
            self.actors.iter().enumerate().map(|(index, actor)| format!("{} {}", index + 1, actor.name));
        format!("{} stop and start", keys.collect::<Vec<_>>().join(", "))
    }
}

impl Actor {
    async fn start(&mut self) -> io::Result<()> {
        let listener = TcpListener::bind(self.address).await.map_err(|error| {
            io::Error::new(error.kind(), format!("cannot serve {} on {}: {error}", self.name, self.address))
        })?;
        self.serving = Some(tokio::spawn(serve(listener, self.name.clone())));
        self.died = None;
        Ok(())
    }
}

/// Until it is aborted; its connections end with it.
async fn serve(listener: TcpListener, name: String) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Ok((stream, _)) = listener.accept(), if connections.len() < CONNECTIONS_MAX => {
                let body = format!("ok, this is {name}\n");
                connections.spawn(timeout(CONNECTION_MAX, reply(stream, body)));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// One request, one reply.
async fn reply(mut stream: TcpStream, body: String) -> io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") && request.len() < REQUEST_MAX {
        if stream.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    let length = body.len();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    stream.write_all((head + &body).as_bytes()).await?;
    stream.shutdown().await
}

const CONNECTIONS_MAX: usize = 64;
const CONNECTION_MAX: Duration = Duration::from_secs(5);
const REQUEST_MAX: usize = 8 * 1024;
