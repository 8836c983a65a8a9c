//! Clients of each region: what `dig` gets for them from each server, once or all the time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use crate::fleet::REGIONS;
use crate::ground::Host;

/// A client of each region.
const CLIENTS: [&str; 3] = ["192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24"];

/// Those who ask.
#[derive(Clone, Debug)]
pub struct Audience {
    pub outside: Host,
    pub servers: Vec<Host>,
    pub endpoints: Vec<Host>,
}

impl Audience {
    /// What the clients of each region get from the server of a region: the region of an endpoint, or what `dig`
    /// said instead.
    pub fn ask(&self, server: usize) -> [String; 3] {
        [0, 1, 2].map(|client| self.dig(server, client))
    }

    /// Asks these servers all the time whether they say this to the clients of each region, until told to stop.
    pub fn watch(&self, servers: &[usize], wanted: [&'static str; 3]) -> Watch {
        let (audience, servers, enough) = (self.clone(), servers.to_vec(), Arc::new(AtomicBool::new(false)));
        let (stop, (tell, end)) = (Arc::clone(&enough), mpsc::channel());
        thread::spawn(move || {
            let mut rounds = 0;
            let other = |server: &usize| {
                let said = audience.ask(*server);
                let name = &audience.servers[*server].name;
                (said != wanted).then(|| format!("{name} said {said:?} instead of {wanted:?}"))
            };
            while !stop.load(Ordering::Relaxed) {
                if let Some(other) = servers.iter().find_map(other) {
                    return tell.send(Err(other));
                }
                rounds += 1;
            }
            tell.send(Ok(rounds))
        });
        Watch { enough, end }
    }

    fn dig(&self, server: usize, client: usize) -> String {
        let server = format!("@{}", self.servers[server].address);
        let subnet = format!("+subnet={}", CLIENTS[client]);
        let mut dig = self.outside.command("dig");
        dig.args([&server, "-p", "5300", "www.example.org", "+short", &subnet, "+tries=2", "+time=2"]);
        let ran = dig.output().expect("dig starts");
        let said = String::from_utf8_lossy(&ran.stdout).trim().to_string();
        let endpoint = self.endpoints.iter().position(|endpoint| endpoint.address.to_string() == said);
        endpoint.map_or(said, |endpoint| REGIONS[endpoint].to_string())
    }
}

/// Somebody asks all the time.
#[must_use]
pub struct Watch {
    enough: Arc<AtomicBool>,
    end: Receiver<Result<u32, String>>,
}

impl Watch {
    /// Ends it after some time, or as soon as somebody says something else: who said what.
    ///
    /// The number is how often everybody was asked.
    pub fn end_after(self, time: Duration) -> Result<u32, String> {
        self.end.recv_timeout(time).unwrap_or_else(|_| {
            self.enough.store(true, Ordering::Relaxed);
            self.end.recv().expect("it tells how it ended")
        })
    }
}
