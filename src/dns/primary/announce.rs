//! NOTIFY (RFC 1996): other servers are told that a zone changed, until they say that they heard it.
//!
//! ```text
//!   another edition --> for each of them, each zone: NOTIFY --no reply--> again, after twice as long --> ... --> given up
//! ```

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use domain::base::iana::{Class, Opcode, Rcode, Rtype};
use domain::base::rdata::UnknownRecordData;
use domain::base::{Message, Name, Ttl};
use domain::rdata::tsig::Time48;
use domain::tsig::{ClientTransaction, Key};
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::keys::Keys;
use super::messages::{begin, finish};
use crate::dns::draw::{Draws, wall_clock};
use crate::plan::zone::name::show;
use crate::primary::{Editions, Soa};
use crate::spec::machine::Secondary;

/// Tells other servers what changed.
pub struct Announcer {
    secondaries: Vec<Secondary>,
    keys: Keys,
    /// Where we listen: what they hear should come from the address that they know.
    listen: Vec<SocketAddr>,
}

type Transaction = ClientTransaction<Arc<Key>>;

/// One message to one server.
struct Announcement {
    to: SocketAddr,
    from: SocketAddr,
    key: Option<Arc<Key>>,
    apex: Vec<u8>,
    soa: Soa,
}

impl Announcer {
    /// Who tells these servers.
    pub fn new(secondaries: Vec<Secondary>, keys: Keys, listen: Vec<SocketAddr>) -> Self {
        Self { secondaries, keys, listen }
    }

    /// Tells them of every edition that comes, until no more can come.
    pub async fn run(self, mut editions: watch::Receiver<Arc<Editions>>) {
        // What is under way, by server and zone: a newer serial takes its place.
        let mut under_way: BTreeMap<(SocketAddr, Vec<u8>), (u32, JoinHandle<()>)> = BTreeMap::new();
        loop {
            let current = Arc::clone(&editions.borrow_and_update());
            under_way.retain(|(_, apex), _| current.of(apex).is_some());
            for (apex, edition) in current.iter() {
                for secondary in &self.secondaries {
                    let place = (secondary.to, apex.to_vec());
                    if under_way.get(&place).is_some_and(|(serial, _)| *serial == edition.serial()) {
                        continue;
                    }
                    let announcement = self.announcement(secondary, apex, &edition.soa);
                    let task = tokio::spawn(announcement.tell());
                    if let Some((_, before)) = under_way.insert(place, (edition.serial(), task)) {
                        before.abort();
                    }
                }
            }
            if editions.changed().await.is_err() {
                return;
            }
        }
    }

    fn announcement(&self, secondary: &Secondary, apex: &[u8], soa: &Soa) -> Announcement {
        let key = secondary.key.as_ref().and_then(|name| self.keys.named(name)).cloned();
        let same_family = |address: &&SocketAddr| address.is_ipv4() == secondary.to.is_ipv4();
        let known = self.listen.iter().filter(same_family).map(SocketAddr::ip);
        let known = known.filter(|address| !address.is_unspecified()).find(|address| {
            // A loopback address reaches nobody else.
            address.is_loopback() == secondary.to.ip().is_loopback()
        });
        let any = if secondary.to.is_ipv4() {
            IpAddr::V4(Ipv4Addr::UNSPECIFIED)
        } else {
            IpAddr::V6(Ipv6Addr::UNSPECIFIED)
        };
        let from = SocketAddr::new(known.unwrap_or(any), 0);
        Announcement { to: secondary.to, from, key, apex: apex.to_vec(), soa: soa.clone() }
    }
}

impl Announcement {
    async fn tell(self) {
        let (zone, serial, to) = (show(&self.apex), self.soa.serial(), self.to);
        let mut wait = FIRST_WAIT;
        let mut why = String::new();
        for _ in 0..TRIES {
            match self.ask(wait).await {
                Ok(rcode) if rcode == Rcode::NOERROR => {
                    tracing::info!("{to} was told of {zone}, serial {serial}");
                    return;
                }
                Ok(rcode) => why = format!("it answers {rcode}"),
                Err(error) => why = error,
            }
            tokio::time::sleep(wait).await;
            wait *= 2;
        }
        tracing::warn!("{to} was not told of {zone}, serial {serial}: {why}");
    }

    /// One message, and what is answered within this time.
    async fn ask(&self, wait: Duration) -> Result<Rcode, String> {
        let socket = UdpSocket::bind(self.from).await.map_err(|error| error.to_string())?;
        socket.connect(self.to).await.map_err(|error| error.to_string())?;
        let id = Draws::seeded().draw() as u16;
        let (packet, transaction) = self.message(id).ok_or("it cannot be written")?;
        socket.send(&packet).await.map_err(|error| error.to_string())?;
        let answered = async {
            let mut room = [0; REPLY_ROOM];
            loop {
                let length = socket.recv(&mut room).await.map_err(|error| error.to_string())?;
                if let Some(rcode) = heard(&room[..length], id, transaction.as_ref()) {
                    return Ok(rcode);
                }
            }
        };
        timeout(wait, answered).await.unwrap_or_else(|_| Err("it does not answer".into()))
    }

    /// The message, and what knows whether its reply is signed as it must be.
    fn message(&self, id: u16) -> Option<(Vec<u8>, Option<Transaction>)> {
        let apex = Name::from_slice(&self.apex).ok()?;
        let mut message = begin();
        let header = message.header_mut();
        header.set_id(id);
        header.set_opcode(Opcode::NOTIFY);
        header.set_aa(true);
        let mut question = message.question();
        question.push((apex, Rtype::SOA)).ok()?;
        let mut answer = question.answer();
        let data = UnknownRecordData::from_octets(Rtype::SOA, self.soa.rdata.as_slice()).ok()?;
        answer.push((apex, Class::IN, Ttl::from_secs(self.soa.ttl), data)).ok()?;
        let mut message = answer.additional();
        let now = Time48::from_u64(wall_clock().0);
        let transaction = match &self.key {
            None => None,
            Some(key) => Some(ClientTransaction::request(Arc::clone(key), &mut message, now).ok()?),
        };
        Some((finish(message), transaction))
    }
}

/// What a reply to our message says; `None`: it is none.
fn heard(packet: &[u8], id: u16, transaction: Option<&Transaction>) -> Option<Rcode> {
    let mut message = Message::from_octets(packet.to_vec()).ok()?;
    let header = message.header();
    if header.id() != id || !header.qr() || header.opcode() != Opcode::NOTIFY {
        return None;
    }
    if let Some(transaction) = transaction {
        transaction.answer(&mut message, Time48::from_u64(wall_clock().0)).ok()?;
    }
    Some(message.header().rcode())
}

/// RFC 1996 section 3.6 has it 60 s apart, five times; on today's networks a lost packet should not cost a minute.
const TRIES: u32 = 6;
const FIRST_WAIT: Duration = Duration::from_secs(2);
const REPLY_ROOM: usize = 4096;
