//! stand-in
use crate::geo::embedded::Embedding;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::net::IpAddr;

/// Clients divided into classes.
#[derive(Clone, Debug)]
pub struct Partition {
    v4: Vec<(u32, u8, u32)>,
    v6: Vec<(u128, u8, u32)>,
}

impl Partition {
    /// From runs.
    pub fn compile(
        v4: impl IntoIterator<Item = (u32, u32)>,
        v6: impl IntoIterator<Item = (u128, u32)>,
    ) -> Self {
        let a = blocks(v4.into_iter().map(|(a, c)| (u128::from(a) << 96, c)).collect());
        let b = blocks(v6.into_iter().collect());
        Self { v4: a.into_iter().map(|(x, d, c)| ((x >> 96) as u32, d, c)).collect(), v6: b }
    }
    /// All in class 0.
    pub fn trivial() -> Self {
        Self { v4: vec![(0, 0, 0)], v6: vec![(0, 0, 0)] }
    }
    /// Class and scope.
    pub fn find(&self, client: IpAddr) -> (u32, u8) {
        match client {
            IpAddr::V4(a) => {
                let i = self.v4.partition_point(|l| l.0 <= a.to_bits()) - 1;
                (self.v4[i].2, self.v4[i].1)
            }
            IpAddr::V6(a) => {
                if let Some(e) = Embedding::of(a)
                    && self.v4.len() > 1
                {
                    let (c, s) = self.find(e.inner(a).into());
                    return (c, s + e.moved);
                }
                let i = self.v6.partition_point(|l| l.0 <= a.to_bits()) - 1;
                (self.v6[i].2, self.v6[i].1)
            }
        }
    }
    /// Prefixes.
    pub fn prefixes(&self) -> impl Iterator<Item = (IpNet, u32)> + '_ {
        let v4 = self.v4.iter().map(|l| (IpNet::V4(Ipv4Net::new_assert(l.0.into(), l.1)), l.2));
        v4.chain(self.v6.iter().map(|l| (IpNet::V6(Ipv6Net::new_assert(l.0.into(), l.1)), l.2)))
    }
    /// Bytes.
    pub fn bytes(&self) -> usize {
        self.v4.len() * 12 + self.v6.len() * 32
    }
}
fn blocks(runs: Vec<(u128, u32)>) -> Vec<(u128, u8, u32)> {
    let mut merged: Vec<(u128, u32)> = Vec::new();
    for (a, c) in runs {
        if merged.last().is_none_or(|l| l.1 != c) {
            merged.push((a, c));
        }
    }
    let mut out = Vec::new();
    for (i, &(first, c)) in merged.iter().enumerate() {
        let last = merged.get(i + 1).map_or(u128::MAX, |n| n.0 - 1);
        let mut next = Some(first);
        while let Some(f) = next {
            let fits = (last - f).checked_add(1).map_or(128, u128::ilog2);
            let len = 128 - fits.min(f.trailing_zeros());
            out.push((f, len as u8, c));
            next = (f | u128::MAX.checked_shr(len).unwrap_or(0)).checked_add(1).filter(|n| *n <= last);
        }
    }
    out
}
