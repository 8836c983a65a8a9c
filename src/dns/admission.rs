//! Who may hold a connection: so many in all, and so many from one client, so that one client cannot keep
//! the others out.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Counts connections against the caps.
#[derive(Debug)]
pub struct Admission {
    most: usize,
    most_per_client: usize,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    total: usize,
    by_client: HashMap<IpAddr, usize>,
}

/// The right to hold one connection, until it is dropped.
#[derive(Debug)]
pub struct Permit {
    admission: Arc<Admission>,
    client: IpAddr,
}

impl Admission {
    /// Caps for all listeners together.
    pub fn new(most: usize, most_per_client: usize) -> Self {
        Self { most, most_per_client, held: Mutex::default() }
    }

    /// Admits one more connection from `address`, unless that is one too many.
    pub fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Permit> {
        let client = client_of(address);
        let mut held = self.held();
        if held.total >= self.most {
            return None;
        }
        let of_client = held.by_client.entry(client).or_default();
        if *of_client >= self.most_per_client {
            if *of_client == 0 {
                held.by_client.remove(&client);
            }
            return None;
        }
        *of_client += 1;
        held.total += 1;
        Some(Permit { admission: Arc::clone(self), client })
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
        if let Some(of_client) = held.by_client.get_mut(&self.client) {
            *of_client -= 1;
            if *of_client == 0 {
                held.by_client.remove(&self.client);
            }
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

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_client_at_its_cap_does_not_keep_others_out() {
        let admission = Arc::new(Admission::new(10, 1));
        let held = admission.admit(address("192.0.2.1"));
        assert!(held.is_some());
        assert!(admission.admit(address("192.0.2.1")).is_none());
        assert!(admission.admit(address("192.0.2.2")).is_some());
    }

    #[test]
    fn a_connection_that_ends_makes_room() {
        let admission = Arc::new(Admission::new(1, 1));
        let held = admission.admit(address("192.0.2.1"));
        assert!(admission.admit(address("192.0.2.2")).is_none());
        drop(held);
        assert!(admission.admit(address("192.0.2.2")).is_some());
        assert!(admission.held().by_client.is_empty());
    }

    #[test]
    fn a_slash_64_is_one_client() {
        let admission = Arc::new(Admission::new(10, 1));
        let held = admission.admit(address("2001:db8::1"));
        assert!(held.is_some());
        assert!(admission.admit(address("2001:db8::2:1")).is_none());
        assert!(admission.admit(address("2001:db8:0:1::1")).is_some());
    }

    #[test]
    fn a_cap_of_none_remembers_nobody() {
        let admission = Arc::new(Admission::new(10, 0));
        assert!(admission.admit(address("192.0.2.1")).is_none());
        assert!(admission.held().by_client.is_empty());
    }
}
