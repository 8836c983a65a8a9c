//! What the listeners count. A listener counts in plain numbers of its own while it works on a batch and
//! adds them to its tally once a batch, so that a query costs no atomic operation.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::limits::Counted;
use super::respond::Reply;
use super::wire::rcode;

/// Counts since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Packets and framed messages that came in.
    pub queries: u64,
    /// Replies, by response code: index 0 to 15, and the last for all that EDNS extends (BADVERS).
    pub replies: [u64; Stats::RCODES],
    /// What got no reply: runts, responses, those who are not served, and what limits dropped.
    pub silenced: u64,
    /// Replies with TC: their clients ask again over TCP.
    pub truncated: u64,
    /// Replies that the system did not take.
    pub unsent: u64,
    /// Wake-ups: over UDP the batches received, over TCP the reads that held a query.
    pub batches: u64,
    /// Connections accepted.
    pub connections: u64,
    /// Connections closed at once, because of a cap.
    pub connections_refused: u64,
    /// Connections that ended before their first message could come: no TLS or QUIC, none of the protocols
    /// that are spoken, no PROXY header where one must be, or too slow.
    pub connections_failed: u64,
    /// What limits kept back.
    pub limited: Counted,
}

impl Stats {
    /// Response codes of the header, and one for the others.
    pub const RCODES: usize = 17;

    /// Replies of every kind.
    pub fn answered(&self) -> u64 {
        self.replies.iter().sum()
    }

    /// Counts a query and what became of it.
    #[inline]
    pub(super) fn count(&mut self, reply: Option<&Reply>) {
        self.queries += 1;
        let Some(reply) = reply else {
            self.silenced += 1;
            return;
        };
        self.replies[usize::from(reply.rcode.min(rcode::BADVERS))] += 1;
        self.truncated += u64::from(reply.truncated);
    }

    fn counts(&mut self) -> impl Iterator<Item = &mut u64> {
        let Stats {
            queries,
            replies,
            silenced,
            truncated,
            unsent,
            batches,
            connections,
            connections_refused,
            connections_failed,
            limited: Counted { dropped, slipped, errors_dropped, shrunk },
        } = self;
        let others = [
            queries,
            silenced,
            truncated,
            unsent,
            batches,
            connections,
            connections_refused,
            connections_failed,
        ];
        let limited = [dropped, slipped, errors_dropped, shrunk];
        others.into_iter().chain(limited).chain(replies)
    }
}

/// Counts since the start, by transport.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Over UDP.
    pub udp: Stats,
    /// Over TCP.
    pub tcp: Stats,
    /// Over TLS.
    pub tls: Stats,
    /// Over HTTPS.
    pub https: Stats,
    /// Over QUIC.
    pub quic: Stats,
}

impl Traffic {
    /// Each transport by its name.
    pub fn by_transport(&self) -> [(&'static str, &Stats); 5] {
        let Self { udp, tcp, tls, https, quic } = self;
        [("udp", udp), ("tcp", tcp), ("tls", tls), ("https", https), ("quic", quic)]
    }

    /// Over all of them.
    pub fn total(&self) -> Stats {
        let mut sum = Stats::default();
        for (_, stats) in self.by_transport() {
            let mut stats = *stats;
            sum.counts().zip(stats.counts()).for_each(|(sum, count)| *sum += *count);
        }
        sum
    }
}

/// The counts of one listener, for others to read. On cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct Tally([AtomicU64; Stats::RCODES + 12]);

impl Tally {
    /// Adds what was counted, and starts counting anew.
    pub fn add(&self, counted: &mut Stats) {
        for (cell, count) in self.0.iter().zip(std::mem::take(counted).counts()) {
            if *count != 0 {
                cell.fetch_add(*count, Relaxed);
            }
        }
    }

    /// Adds this tally to a sum.
    pub fn add_to(&self, sum: &mut Stats) {
        for (cell, count) in self.0.iter().zip(sum.counts()) {
            *count += cell.load(Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_adds_up_and_leaves_nothing_to_be_counted_twice() {
        let tally = Tally::default();
        let mut counted = Stats { batches: 1, connections_refused: 3, ..Stats::default() };
        counted.count(None);
        counted.count(Some(&Reply { length: 12, rcode: rcode::BADVERS, truncated: true }));
        let expected = Stats { batches: 2, connections_refused: 6, ..counted };
        tally.add(&mut counted);
        assert_eq!(counted, Stats::default());
        let mut sum = Stats { batches: 1, connections_refused: 3, ..Stats::default() };
        tally.add_to(&mut sum);
        assert_eq!(sum, expected);
        assert_eq!((sum.queries, sum.answered(), sum.replies[16]), (2, 1, 1));
    }

    #[test]
    fn the_total_is_of_all_transports() {
        let mut udp = Stats { batches: 2, ..Stats::default() };
        let mut tcp = Stats { connections: 1, ..Stats::default() };
        udp.count(None);
        tcp.count(Some(&Reply { length: 12, rcode: 0, truncated: false }));
        let total = Traffic { udp, tcp, quic: udp, ..Traffic::default() }.total();
        assert_eq!((total.queries, total.answered(), total.silenced), (3, 1, 2));
        assert_eq!((total.batches, total.connections), (4, 1));
    }

    #[test]
    fn every_count_has_a_cell() {
        assert_eq!(Stats::default().counts().count(), Tally::default().0.len());
    }
}
