//! Who may hold a connection: so many in all, so many from one client, and so many from one prefix, so that neither
//! one client nor one network can keep the others out. Who is not served at all may hold none.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::limits::Rules;

/// Counts connections against the caps.
#[derive(Debug)]
pub struct Admission {
    most: usize,
    most_per_client: usize,
    most_per_prefix: usize,
    rules: Arc<Rules>,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    total: usize,
    by_client: HashMap<IpAddr, usize>,
    by_prefix: HashMap<Prefix, usize>,
}

/// The first bits of an address, and whether it is IPv6.
type Prefix = (u64, bool);

/// The right to hold one connection, until it is dropped.
#[derive(Debug)]
pub struct Permit {
    admission: Arc<Admission>,
    /// `None`: it counts against no cap but that of all yet.
    client: Option<(IpAddr, Prefix)>,
}

impl Admission {
    /// Caps for all listeners together.
    pub fn new(most: usize, most_per_client: usize, most_per_prefix: usize, rules: Arc<Rules>) -> Self {
        Self { most, most_per_client, most_per_prefix, rules, held: Mutex::default() }
    }

    /// Admits one more connection from `address`, unless that is one too many.
    pub fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Permit> {
        self.admit_stranger()?.of_client(address)
    }

    /// Admits one more connection of which it is not known yet who is behind it.
    pub fn admit_stranger(self: &Arc<Self>) -> Option<Permit> {
        let mut held = self.held();
        if held.total >= self.most {
            return None;
        }
        held.total += 1;
        Some(Permit { admission: Arc::clone(self), client: None })
    }

    /// How long a connection may be idle: so long, and the less the fewer places are left, so that whoever holds them
    /// without need makes room for others (RFC 7766 section 6.2.3).
    pub fn patience(&self, idle: Duration) -> Duration {
        let taken = self.held().total;
        let least = PATIENCE.iter().find(|(percent, _)| taken * 100 >= self.most * percent);
        least.map_or(idle, |(_, share)| (idle / *share).max(PATIENCE_MIN).min(idle))
    }

    /// Whether so much is taken that a client should show first that it is where it says it is.
    pub fn is_busy(&self) -> bool {
        self.held().total >= self.most / BUSY_SHARE
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // Counting cannot panic half-way.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit {
    /// From now on it counts as one of the client at `address`, unless that is one too many of those, or of its
    /// prefix, or the client is not served at all.
    pub fn of_client(mut self, address: IpAddr) -> Option<Self> {
        let Admission { most_per_client, most_per_prefix, ref rules, .. } = *self.admission;
        if !rules.serve(address) {
            return None;
        }
        let (client, prefix) = (client_of(address), rules.prefix(address));
        {
            let mut held = self.admission.held();
            let of_client = held.by_client.get(&client).copied().unwrap_or(0);
            let of_prefix = held.by_prefix.get(&prefix).copied().unwrap_or(0);
            // Dropped with its lock still held, the permit would wait for itself.
            if of_client < most_per_client && of_prefix < most_per_prefix {
                held.by_client.insert(client, of_client + 1);
                held.by_prefix.insert(prefix, of_prefix + 1);
                self.client = Some((client, prefix));
            }
        }
        self.client.is_some().then_some(self)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut held = self.admission.held();
        held.total -= 1;
        let Some((client, prefix)) = self.client else { return };
        let held = &mut *held;
        one_less(&mut held.by_client, client);
        one_less(&mut held.by_prefix, prefix);
    }
}

/// Counts one less, and forgets who has none left.
fn one_less<K: Hash + Eq>(counts: &mut HashMap<K, usize>, key: K) {
    if let Entry::Occupied(mut count) = counts.entry(key) {
        *count.get_mut() -= 1;
        if *count.get() == 0 {
            count.remove();
        }
    }
}

/// What counts as one client: an IPv4 address, or the /64 of an IPv6 address, all of which is one site's.
fn client_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

/// From so many percent of the places on, connections may be idle for so small a share of the time.
const PATIENCE: [(usize, u32); 3] = [(90, 100), (75, 50), (50, 10)];
/// Whoever means it has asked by then.
const PATIENCE_MIN: Duration = Duration::from_millis(100);
/// One place in so many taken: who asks over QUIC must show that it hears us (RFC 9000 section 8.1.2).
const BUSY_SHARE: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Limits;

    fn admission(most: usize, per_client: usize, per_prefix: usize, limits: Limits) -> Arc<Admission> {
        Arc::new(Admission::new(most, per_client, per_prefix, Arc::new(Rules::new(&limits, 1))))
    }

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn the_fewer_places_are_left_the_sooner_the_idle_must_leave() {
        let admission = admission(100, 100, 100, Limits::none());
        let seconds = Duration::from_secs;
        let mut held = Vec::new();
        for (taken, patience) in [
            (0, seconds(20)),
            (49, seconds(20)),
            (50, seconds(2)),
            (75, seconds(2) / 5),
            (90, seconds(1) / 5),
        ] {
            held.resize_with(taken, || admission.admit(address("192.0.2.1")));
            assert_eq!(admission.patience(seconds(20)), patience, "{taken} taken");
        }
        // What the operator allows is never made longer.
        assert_eq!(admission.patience(seconds(1) / 20), seconds(1) / 20);
        held.clear();
        assert_eq!(admission.patience(seconds(20)), seconds(20));
    }

    #[test]
    fn a_client_at_its_cap_does_not_keep_others_out() {
        let admission = admission(10, 1, 100, Limits::none());
        let held = admission.admit(address("192.0.2.1"));
        assert!(held.is_some());
        assert!(admission.admit(address("192.0.2.1")).is_none());
        assert!(admission.admit(address("192.0.2.2")).is_some());
    }

    #[test]
    fn a_connection_that_ends_makes_room() {
        let admission = admission(1, 1, 100, Limits::none());
        let held = admission.admit(address("192.0.2.1"));
        assert!(admission.admit(address("192.0.2.2")).is_none());
        drop(held);
        assert!(admission.admit(address("192.0.2.2")).is_some());
        assert!(admission.held().by_client.is_empty());
    }

    #[test]
    fn a_slash_64_is_one_client() {
        let admission = admission(10, 1, 100, Limits::none());
        let held = admission.admit(address("2001:db8::1"));
        assert!(held.is_some());
        assert!(admission.admit(address("2001:db8::2:1")).is_none());
        assert!(admission.admit(address("2001:db8:0:1::1")).is_some());
    }

    #[test]
    fn a_stranger_takes_a_place_and_counts_as_a_client_once_it_is_known() {
        let admission = admission(2, 1, 100, Limits::none());
        let stranger = admission.admit_stranger();
        let first = admission.admit(address("192.0.2.1"));
        assert!(stranger.is_some() && first.is_some());
        assert!(admission.admit_stranger().is_none());
        assert!(stranger.and_then(|permit| permit.of_client(address("192.0.2.1"))).is_none());
        assert!(admission.admit(address("192.0.2.2")).is_some(), "the stranger's place is free again");
    }

    #[test]
    fn a_cap_of_none_remembers_nobody() {
        let admission = admission(10, 0, 100, Limits::none());
        assert!(admission.admit(address("192.0.2.1")).is_none());
        assert!(admission.held().by_client.is_empty());
    }

    #[test]
    fn a_network_at_its_cap_does_not_keep_others_out() {
        let admission = admission(10, 10, 2, Limits { ipv4_prefix: 24, ..Limits::none() });
        let held: Vec<_> = (1..4).map(|host| admission.admit(address(&format!("192.0.2.{host}")))).collect();
        assert_eq!(held.iter().filter(|permit| permit.is_some()).count(), 2);
        assert!(admission.admit(address("198.51.100.1")).is_some());
        drop(held);
        assert!(admission.held().by_prefix.is_empty());
    }

    #[test]
    fn who_is_denied_holds_no_connection() {
        let deny = vec!["192.0.2.0/24".parse().expect("a prefix")];
        let admission = admission(10, 10, 10, Limits { deny, ..Limits::none() });
        assert!(admission.admit(address("192.0.2.1")).is_none());
        assert!(admission.admit(address("198.51.100.1")).is_some());
    }
}
