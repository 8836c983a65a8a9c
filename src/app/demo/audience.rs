//! The clients of the demo: they ask over UDP, as a client of each region, and see answers change.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use domain::base::iana::Rtype;
use domain::base::opt::ClientSubnet;
use domain::base::{Message, MessageBuilder};
use domain::rdata::A;
use ipnet::IpNet;
use tokio::net::UdpSocket;
use tokio::time::timeout;

use super::stage::Stage;
use crate::model::Name;

/// One client a region.
pub(super) struct Audience {
    socket: UdpSocket,
    clients: Vec<ClientOf>,
    asked: u16,
}

struct ClientOf {
    region: String,
    net: IpNet,
    seen: Option<IpAddr>,
}

impl Audience {
    pub(super) async fn new(server: SocketAddr, regions: Vec<(String, IpNet)>) -> io::Result<Self> {
        let socket = UdpSocket::bind((server.ip(), 0)).await?;
        socket.connect(server).await?;
        let clients = regions.into_iter().map(|(region, net)| ClientOf { region, net, seen: None });
        Ok(Self { socket, clients: clients.collect(), asked: 0 })
    }

    /// Region and client subnet of each client.
    pub(super) fn regions(&self) -> impl Iterator<Item = (&str, IpNet)> {
        self.clients.iter().map(|client| (client.region.as_str(), client.net))
    }

    /// Asks for every region; a line for each answer that is another than before.
    pub(super) async fn look(&mut self, stage: &Stage) -> Vec<String> {
        let mut lines = Vec::new();
        for client in &mut self.clients {
            self.asked = self.asked.wrapping_add(1);
            let Some(address) = ask(&self.socket, client.net, self.asked).await else { continue };
            let Some(before) = client.seen.replace(address) else { continue };
            if before != address {
                lines.push(changed(&client.region, before, address, stage));
            }
        }
        lines
    }
}

fn changed(region: &str, before: IpAddr, now: IpAddr, stage: &Stage) -> String {
    let name = |address| stage.at(address).map_or_else(|| address.to_string(), |(name, _)| name.to_owned());
    let dead = stage.at(before).and_then(|(name, died)| Some((name, died?)));
    let after = dead.map(|(name, died)| format!(", {:.2} s after {name} died", died.as_secs_f64()));
    format!("  answer    to {region}: {} -> {}{}", name(before), name(now), after.unwrap_or_default())
}

/// The first address of the answer; `None` if there is none, or none in time.
async fn ask(socket: &UdpSocket, net: IpNet, id: u16) -> Option<IpAddr> {
    socket.send(&query(net, id)?).await.ok()?;
    let mut buffer = [0; 1500];
    let answer = async {
        loop {
            let length = socket.recv(&mut buffer).await.ok()?;
            let message = Message::from_slice(buffer.get(..length)?).ok()?;
            if message.header().id() == id {
                let first = message.answer().ok()?.limit_to_in::<A>().next()?.ok()?;
                return Some(IpAddr::V4(first.data().addr()));
            }
        }
    };
    timeout(PATIENCE, answer).await.ok().flatten()
}

fn query(net: IpNet, id: u16) -> Option<Vec<u8>> {
    let mut message = MessageBuilder::new_vec().question();
    message.header_mut().set_id(id);
    message.push((NAME.parse::<Name>().ok()?, Rtype::A)).ok()?;
    let mut message = message.additional();
    message.opt(|opt| opt.push(&ClientSubnet::new(net.prefix_len(), 0, net.addr()))).ok()?;
    Some(message.finish())
}

/// What is asked for.
pub(super) const NAME: &str = "www.example.org";

/// Between looks: changes are timed this finely.
pub(super) const LOOK: Duration = Duration::from_millis(20);

const PATIENCE: Duration = Duration::from_millis(200);
