//! The two address families as the system's datagram calls see them, so that the UDP loops are compiled
//! once for each and never ask which one it is.

use std::net::{Ipv6Addr, SocketAddr};

use nix::cmsg_space;
use nix::libc::{in_addr, in_pktinfo, in6_pktinfo};
use nix::sys::socket::{ControlMessage, ControlMessageOwned, SockaddrIn, SockaddrIn6, SockaddrLike};

/// Where a datagram comes from and goes to.
pub trait Peer: SockaddrLike + Copy + Send + 'static {
    /// The address of ours that a datagram was sent to, as the reply has to tell the system.
    type Local: Copy + Send;

    /// The peer for people and for lookups.
    fn socket_addr(self) -> SocketAddr;

    /// Room for the control message that tells of a [`Self::Local`].
    fn control_room() -> Vec<u8>;

    /// The address that a datagram was sent to, if that is what the system tells.
    fn local(told: ControlMessageOwned) -> Option<Self::Local>;

    /// The control message that makes a reply come from there.
    fn control(local: &Self::Local) -> ControlMessage<'_>;

    /// Whether both are the same address.
    fn same(one: &Self::Local, other: &Self::Local) -> bool;
}

impl Peer for SockaddrIn {
    type Local = in_pktinfo;

    #[inline]
    fn socket_addr(self) -> SocketAddr {
        self.into()
    }

    fn control_room() -> Vec<u8> {
        cmsg_space!(in_pktinfo)
    }

    fn local(told: ControlMessageOwned) -> Option<in_pktinfo> {
        match told {
            // Interface 0: replies take the route that the routing table says.
            ControlMessageOwned::Ipv4PacketInfo(info) => {
                Some(in_pktinfo { ipi_ifindex: 0, ipi_addr: in_addr { s_addr: 0 }, ..info })
            }
            _ => None,
        }
    }

    fn control(local: &in_pktinfo) -> ControlMessage<'_> {
        ControlMessage::Ipv4PacketInfo(local)
    }

    fn same(one: &in_pktinfo, other: &in_pktinfo) -> bool {
        one.ipi_spec_dst.s_addr == other.ipi_spec_dst.s_addr
    }
}

impl Peer for SockaddrIn6 {
    type Local = in6_pktinfo;

    #[inline]
    fn socket_addr(self) -> SocketAddr {
        self.into()
    }

    fn control_room() -> Vec<u8> {
        cmsg_space!(in6_pktinfo)
    }

    fn local(told: ControlMessageOwned) -> Option<in6_pktinfo> {
        match told {
            // A link-local address means nothing without its interface; any other needs none.
            ControlMessageOwned::Ipv6PacketInfo(info) => {
                let link_local = Ipv6Addr::from(info.ipi6_addr.s6_addr).is_unicast_link_local();
                Some(in6_pktinfo { ipi6_ifindex: if link_local { info.ipi6_ifindex } else { 0 }, ..info })
            }
            _ => None,
        }
    }

    fn control(local: &in6_pktinfo) -> ControlMessage<'_> {
        ControlMessage::Ipv6PacketInfo(local)
    }

    fn same(one: &in6_pktinfo, other: &in6_pktinfo) -> bool {
        one.ipi6_addr.s6_addr == other.ipi6_addr.s6_addr && one.ipi6_ifindex == other.ipi6_ifindex
    }
}
