//! Whose client subnet option is believed.
//!
//! RFC 7871 section 7.2.1 tells a server that has not enabled the option to ignore it safely, and not to send it.
//! Towards those who are not believed it is not enabled, so that they see a server which does not know it at all:
//! not even a malformed option, which one that knows it must reject, makes a difference.

use std::net::SocketAddr;

use ipnet::IpNet;

use crate::geo::Nets;

/// The senders of queries whose client subnet option is looked at.
#[derive(Clone, Debug)]
pub enum Believed {
    /// The option is switched off.
    Nobody,
    /// As it is unless the operator says otherwise: nothing is looked up.
    Everybody,
    /// Those that the operator lists.
    Only(Nets),
}

impl Believed {
    /// As configured: the switch, and the list of those for whom it is on.
    pub fn new(client_subnet: bool, from: &[IpNet]) -> Self {
        let from: Nets = from.iter().copied().collect();
        match client_subnet {
            false => Believed::Nobody,
            true if from.hold_all() => Believed::Everybody,
            true => Believed::Only(from),
        }
    }

    /// Whether the sender of a packet is one of them.
    #[inline]
    pub fn includes(&self, sender: &SocketAddr) -> bool {
        match self {
            Believed::Nobody => false,
            Believed::Everybody => true,
            Believed::Only(nets) => nets.hold(sender.ip()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn believed(client_subnet: bool, from: &[&str]) -> Believed {
        let from: Vec<IpNet> = from.iter().map(|prefix| prefix.parse().expect("a prefix")).collect();
        Believed::new(client_subnet, &from)
    }

    #[test]
    fn everybody_costs_no_lookup() {
        assert!(matches!(believed(true, &["0.0.0.0/0", "::/0"]), Believed::Everybody));
        assert!(matches!(believed(true, &["0.0.0.0/0"]), Believed::Only(_)));
    }

    #[test]
    fn the_switch_counts_for_those_in_the_list_too() {
        let sender = SocketAddr::from(([192, 0, 2, 1], 53));
        assert!(believed(true, &["192.0.2.0/24"]).includes(&sender));
        assert!(!believed(false, &["192.0.2.0/24"]).includes(&sender));
    }
}
