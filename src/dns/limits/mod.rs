//! What keeps a flood from doing harm: to us, and to those whose addresses are forged.
//!
//! ```text
//!   datagram --> served at all? --> parse --> answer --> few enough? --> small enough? --> reply
//!                  `- deny, port 0     |                    |- rate: drop, or slip       `- amplification: TC
//!                                      `- error ------------`- budget of errors: drop
//! ```
//!
//! Whoever sends a cookie of ours has shown that its address is its own, and is not limited; nor is whoever the
//! operator exempts. Each UDP thread counts replies in a table of its own, without locks; the kernel sends all packets
//! of one address and port to one thread, so that a flood with one source is seen by one. Only the budget of errors is
//! shared: one atomic number, touched by errors alone.

mod pace;
mod rates;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use crate::answer::{Answer, Rcode};
use crate::geo::Nets;
use crate::spec::Limits;
use pace::SharedPace;
use rates::Rates;

/// What is limited, the same for all threads.
#[derive(Debug)]
pub struct Rules {
    limits: Limits,
    /// `None`: everybody is served.
    allowed: Option<Nets>,
    denied: Option<Nets>,
    exempt: Nets,
    errors: Option<SharedPace>,
    /// Time is counted from here.
    epoch: Instant,
    /// One thread's share of the rate: forged packets come from all ports, and so to all threads.
    rate: u32,
}

/// One thread's part in it.
#[derive(Debug)]
pub struct Limiter {
    rules: Arc<Rules>,
    rates: Option<Rates>,
    /// Not only errors are limited.
    limits_answers: bool,
    /// Nanoseconds since the epoch, as of the last [`Limiter::tick`].
    now: u64,
    /// What it kept back since this was last read.
    pub counted: Counted,
}

/// What limits kept back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Replies that were dropped: too many of their kind went to one prefix.
    pub dropped: u64,
    /// Replies of which only TC, or BADCOOKIE, went out for the same reason.
    pub slipped: u64,
    /// Errors that were dropped: too many in all.
    pub errors_dropped: u64,
    /// Replies of which only TC went out, because they were too much larger than their question.
    pub shrunk: u64,
}

/// Kinds of replies that are counted apart: an attack with one kind leaves the others to those who ask in earnest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Records.
    Positive,
    /// A referral.
    Referral,
    /// No such type.
    NoData,
    /// No such name.
    NoName,
    /// A failure of ours.
    Failure,
    /// A mistake of the client's; those have a budget in common.
    Error,
}

/// What becomes of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes out.
    Pass,
    /// A short one goes out instead, so that a real client asks over TCP or with a cookie.
    Slip,
    /// None goes out.
    Drop,
}

impl Rules {
    /// As configured, for so many threads that share an address.
    pub fn new(limits: &Limits, threads: usize) -> Self {
        let nets = |prefixes: &[ipnet::IpNet]| prefixes.iter().copied().collect::<Nets>();
        let (allowed, denied) = (nets(&limits.allow), nets(&limits.deny));
        Self {
            allowed: (!allowed.hold_all()).then_some(allowed),
            denied: (!limits.deny.is_empty()).then_some(denied),
            exempt: nets(&limits.exempt),
            errors: (limits.error_rate > 0).then(|| SharedPace::new(limits.error_rate)),
            epoch: Instant::now(),
            rate: share(limits.rate, threads),
            limits: limits.clone(),
        }
    }

    /// Whether a client is served at all.
    #[inline]
    pub fn serve(&self, client: IpAddr) -> bool {
        self.allowed.as_ref().is_none_or(|nets| nets.hold(client))
            && !self.denied.as_ref().is_some_and(|nets| nets.hold(client))
    }

    /// The bits of an address that count as one network, and which family they are of.
    pub fn prefix(&self, client: IpAddr) -> (u64, bool) {
        prefix(client, self.limits.ipv4_prefix, self.limits.ipv6_prefix)
    }

    /// The most octets of a reply to a question of so many, over UDP to an address that proved nothing.
    #[inline]
    pub fn reply_max(&self, question: usize) -> usize {
        match self.limits.amplification {
            0 => usize::MAX,
            times => question * times as usize,
        }
    }
}

impl Limiter {
    /// One for a thread.
    pub fn new(rules: Arc<Rules>) -> Self {
        let rates = (rules.rate > 0).then(|| Rates::new(rules.rate));
        let limits_answers = rates.is_some() || rules.limits.amplification > 0;
        Self { rules, rates, limits_answers, now: 0, counted: Counted::default() }
    }

    /// Takes note of the time. Called once a batch, which is as fine as limits need it.
    #[inline]
    pub fn tick(&mut self) {
        if self.rates.is_some() || self.rules.errors.is_some() {
            self.now = self.rules.epoch.elapsed().as_nanos() as u64;
        }
    }

    /// Whether anything is to be asked about this answer.
    #[inline]
    pub fn concerns(&self, answer: &Answer<'_>) -> bool {
        self.limits_answers || answer.rcode == Rcode::Refused
    }

    /// What becomes of a reply of this kind to a client that proved nothing.
    #[inline]
    pub fn judge(&mut self, kind: Kind, client: IpAddr, draw: u64) -> Verdict {
        if kind == Kind::Error {
            return self.judge_error(client);
        }
        let Some(rates) = &mut self.rates else { return Verdict::Pass };
        let limits = &self.rules.limits;
        if rates.take(self.rules.prefix(client), kind, self.now) || self.rules.exempt.hold(client) {
            return Verdict::Pass;
        }
        // By the draw, not in turn: who mixes his packets with others' cannot choose which of them slip.
        if limits.slip > 0 && (draw >> 32).is_multiple_of(u64::from(limits.slip)) {
            self.counted.slipped += 1;
            Verdict::Slip
        } else {
            self.counted.dropped += 1;
            Verdict::Drop
        }
    }

    /// An error does not slip: nobody needs it again over TCP.
    fn judge_error(&mut self, client: IpAddr) -> Verdict {
        let Some(errors) = &self.rules.errors else { return Verdict::Pass };
        if self.rules.exempt.hold(client) || errors.take(self.now) {
            return Verdict::Pass;
        }
        self.counted.errors_dropped += 1;
        Verdict::Drop
    }
}

impl Kind {
    /// The kind of an answer.
    pub fn of(answer: &Answer<'_>) -> Self {
        match answer.rcode {
            Rcode::Refused => Kind::Error,
            Rcode::NxDomain => Kind::NoName,
            Rcode::NoError | Rcode::YxDomain if !answer.answer.is_empty() => Kind::Positive,
            Rcode::NoError if !answer.authoritative => Kind::Referral,
            Rcode::NoError => Kind::NoData,
            _ => Kind::Failure,
        }
    }
}

/// Whether a reply could reach whoever sent a datagram: no port 0, no group of hosts, no address that is none.
#[inline]
pub fn can_be_answered(client: SocketAddr) -> bool {
    let address = match client.ip() {
        IpAddr::V4(address) => {
            let first = address.octets()[0];
            // "This network", multicast, and what is reserved, with broadcast at its end (RFC 6890).
            first != 0 && first < 224
        }
        IpAddr::V6(address) => !address.is_unspecified() && !address.is_multicast(),
    };
    client.port() != 0 && address
}

/// What one of so many threads may send: at least one, if there is a limit.
fn share(rate: u32, threads: usize) -> u32 {
    let threads = u32::try_from(threads).unwrap_or(u32::MAX).max(1);
    if rate == 0 { 0 } else { (rate / threads).max(1) }
}

/// The first bits of an address, and whether it is IPv6.
fn prefix(client: IpAddr, ipv4: u8, ipv6: u8) -> (u64, bool) {
    match client {
        IpAddr::V4(address) => {
            let kept = u32::MAX.checked_shl(32 - u32::from(ipv4)).unwrap_or(0);
            (u64::from(address.to_bits() & kept), false)
        }
        IpAddr::V6(address) => {
            let kept = u64::MAX.checked_shl(64 - u32::from(ipv6)).unwrap_or(0);
            ((address.to_bits() >> 64) as u64 & kept, true)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter(limits: Limits) -> Limiter {
        Limiter::new(Arc::new(Rules::new(&limits, 1)))
    }

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn nets(prefixes: &[&str]) -> Vec<ipnet::IpNet> {
        prefixes.iter().map(|prefix| prefix.parse().expect("a prefix")).collect()
    }

    #[test]
    fn a_prefix_has_its_rate_of_each_kind_and_others_do_not_feel_it() {
        let mut limiter = limiter(Limits { rate: 10, slip: 0, ..Limits::none() });
        let mut passed = |client: &str, kind| {
            (0..100).filter(|_| limiter.judge(kind, address(client), 1) == Verdict::Pass).count()
        };
        assert_eq!(passed("192.0.2.1", Kind::Positive), 10);
        assert_eq!(passed("192.0.2.200", Kind::Positive), 0, "the same /24");
        assert_eq!(passed("192.0.2.1", Kind::NoName), 10, "another kind");
        assert_eq!(passed("192.0.3.1", Kind::Positive), 10, "another /24");
        assert_eq!(passed("2001:db8:0:1::1", Kind::Positive), 10);
        assert_eq!(passed("2001:db8:0:ff::1", Kind::Positive), 0, "the same /56");
        assert_eq!(passed("2001:db8:0:100::1", Kind::Positive), 10, "another /56");
    }

    #[test]
    fn threads_share_the_rate() {
        assert_eq!([share(0, 4), share(100, 4), share(2, 4), share(100, 0)], [0, 25, 1, 100]);
    }

    #[test]
    fn one_in_so_many_slips_by_the_draw() {
        let mut limiter = limiter(Limits { rate: 1, slip: 2, ..Limits::none() });
        let client = address("192.0.2.1");
        let verdicts: Vec<Verdict> =
            (0..5).map(|draw| limiter.judge(Kind::Positive, client, draw << 32)).collect();
        use Verdict::{Drop, Pass, Slip};
        assert_eq!(verdicts, [Pass, Drop, Slip, Drop, Slip]);
        assert_eq!((limiter.counted.slipped, limiter.counted.dropped), (2, 2));
    }

    #[test]
    fn errors_have_one_budget_for_all_clients_and_threads() {
        let rules = Arc::new(Rules::new(&Limits { error_rate: 100, ..Limits::none() }, 2));
        let mut threads = [Limiter::new(Arc::clone(&rules)), Limiter::new(rules)];
        let passed = (0..1000u32)
            .filter(|&n| {
                let client = IpAddr::from(n.to_be_bytes());
                threads[n as usize % 2].judge(Kind::Error, client, 0) == Verdict::Pass
            })
            .count();
        assert_eq!(passed, 10, "no time has passed: the burst, and the rest over the second");
    }

    #[test]
    fn who_is_exempt_is_not_limited() {
        let exempt = nets(&["192.0.2.0/24"]);
        let mut limiter = limiter(Limits { rate: 1, error_rate: 1, exempt, ..Limits::none() });
        for kind in [Kind::Positive, Kind::Error] {
            assert!((0..99).all(|_| limiter.judge(kind, address("192.0.2.1"), 0) == Verdict::Pass));
        }
    }

    #[test]
    fn deny_wins_over_allow() {
        let rules = Rules::new(
            &Limits {
                allow: nets(&["192.0.2.0/24", "2001:db8::/32"]),
                deny: nets(&["192.0.2.128/25"]),
                ..Limits::none()
            },
            1,
        );
        assert!(rules.serve(address("192.0.2.1")) && rules.serve(address("2001:db8::1")));
        assert!(!rules.serve(address("192.0.2.129")) && !rules.serve(address("198.51.100.1")));
        assert!(Rules::new(&Limits::none(), 1).serve(address("198.51.100.1")));
    }

    #[test]
    fn nothing_is_sent_to_groups_and_to_nobody() {
        for address in ["0.0.0.0:5", "0.1.2.3:5", "224.0.0.1:5", "255.255.255.255:5", "[::]:5", "[ff02::1]:5"]
        {
            assert!(!can_be_answered(address.parse().expect("an address")), "{address}");
        }
        assert!(!can_be_answered("192.0.2.1:0".parse().expect("an address")));
        assert!(can_be_answered("192.0.2.1:53".parse().expect("an address")));
        assert!(can_be_answered("[fe80::1]:53".parse().expect("an address")));
    }

    #[test]
    fn a_reply_may_be_so_many_times_its_question() {
        assert_eq!(Rules::new(&Limits { amplification: 10, ..Limits::none() }, 1).reply_max(33), 330);
        assert_eq!(Rules::new(&Limits::none(), 1).reply_max(33), usize::MAX);
    }
}
