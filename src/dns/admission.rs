//! Who may hold a connection: so many in all, so many from one client, and so many from one prefix, so that neither
//! one client nor one network can keep the others out. Who is not served at all may hold none.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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
    by_prefix: HashMap<(u64, bool), usize>,
}

/// The right to hold one connection, until it is dropped.
#[derive(Debug)]
pub struct Permit {
    admission: Arc<Admission>,
    client: IpAddr,
    prefix: (u64, bool),
}

impl Admission {
    /// Caps for all listeners together.
    pub fn new(most: usize, most_per_client: usize, most_per_prefix: usize, rules: Arc<Rules>) -> Self {
        Self { most, most_per_client, most_per_prefix, rules, held: Mutex::default() }
    }

    /// Admits one more connection from `address`, unless that is one too many.
    pub fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Permit> {
        if !self.rules.serve(address) {
            return None;
        }
        let (client, prefix) = (client_of(address), self.rules.prefix(address));
        let mut held = self.held();
        let of_client = held.by_client.get(&client).copied().unwrap_or(0);
        let of_prefix = held.by_prefix.get(&prefix).copied().unwrap_or(0);
        if held.total >= self.most || of_client >= self.most_per_client || of_prefix >= self.most_per_prefix {
            return None;
        }
        held.total += 1;
        held.by_client.insert(client, of_client + 1);
        held.by_prefix.insert(prefix, of_prefix + 1);
        Some(Permit { admission: Arc::clone(self), client, prefix })
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // Counting cannot panic half-way.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut held = self.admission.held();
        held.total -= 1;
        let held = &mut *held;
        one_less(&mut held.by_client, self.client);
        one_less(&mut held.by_prefix, self.prefix);
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
