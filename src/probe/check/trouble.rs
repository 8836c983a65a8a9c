//! Why a check did not pass: the endpoint's fault, or this machine's.

use std::error::Error;
use std::{io, iter};

use super::{Seen, Stage, tls};
use crate::health::Kind;

/// What ended a check early.
#[derive(Clone, Debug)]
pub(super) enum Trouble {
    /// The endpoint, or the way to it, failed the check.
    Endpoint {
        /// In a word.
        kind: Kind,
        /// In words.
        detail: Box<str>,
    },
    /// This machine could not run the check.
    Machine(NotRun),
}

/// A check that could not be run says nothing of the endpoint. A machine out of descriptors or ports must
/// not report the whole world down.
#[derive(Clone, Debug)]
pub(in crate::probe) struct NotRun {
    /// What this machine lacks.
    pub(in crate::probe) reason: Box<str>,
}

impl Trouble {
    /// The endpoint failed. `detail` may quote what it sent: it is cut at [`DETAIL_MAX`] characters.
    pub(super) fn endpoint(kind: Kind, detail: impl Into<String>) -> Self {
        let mut detail = detail.into();
        if let Some((end, _)) = detail.char_indices().nth(DETAIL_MAX) {
            detail.truncate(end);
            detail.push_str("...");
        }
        Trouble::Endpoint { kind, detail: detail.into() }
    }

    /// What ended an HTTP exchange. The client wraps that in errors of its own; what counts is within.
    pub(super) fn of_exchange(error: &(dyn Error + 'static), seen: &mut Seen) -> Self {
        let cut = match seen.stage {
            Stage::Body => "connection closed inside the body",
            _ => "connection closed before a reply",
        };
        for cause in causes(error) {
            if let Some(error) = cause.downcast_ref::<rustls::Error>() {
                return tls::refused(error, seen);
            }
            match cause.downcast_ref::<hyper::Error>() {
                Some(error) if error.is_incomplete_message() => return Trouble::endpoint(Kind::Reset, cut),
                Some(error) if error.is_parse() => {
                    return Trouble::endpoint(Kind::Other, format!("no HTTP/1.1 reply: {error}"));
                }
                _ => {}
            }
        }
        match io_cause(error) {
            Some(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Trouble::endpoint(Kind::Reset, cut)
            }
            Some(error) => error.into(),
            None => Trouble::endpoint(Kind::Other, innermost(error).to_string()),
        }
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::from(&error)
    }
}

impl From<&io::Error> for Trouble {
    fn from(error: &io::Error) -> Self {
        if let Some(errno) = error.raw_os_error().map(nix::errno::Errno::from_raw)
            && lacking(errno)
        {
            return Trouble::Machine(NotRun { reason: errno.desc().into() });
        }
        use io::ErrorKind::*;
        let (kind, words) = match error.kind() {
            ConnectionRefused => (Kind::Refused, "connection refused"),
            TimedOut => (Kind::Timeout, "connection timed out"),
            ConnectionReset | ConnectionAborted | BrokenPipe => (Kind::Reset, "connection reset"),
            UnexpectedEof => (Kind::Reset, "connection closed before a reply"),
            HostUnreachable => (Kind::Unreachable, "host unreachable"),
            NetworkUnreachable => (Kind::Unreachable, "network unreachable"),
            PermissionDenied => (Kind::Unreachable, "a firewall forbids the connection"),
            _ => return Trouble::endpoint(Kind::Other, error.to_string()),
        };
        Trouble::endpoint(kind, words)
    }
}

/// The innermost error of the system, which says most.
pub(super) fn io_cause<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a io::Error> {
    causes(error).filter_map(|cause| cause.downcast_ref()).last()
}

/// The error that all the others wrap.
pub(super) fn innermost<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    causes(error).last().unwrap_or(error)
}

/// An error and those within it, from the outermost.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    iter::successors(Some(error), |&error| {
        // `source` of an `io::Error` passes over the error it wraps.
        match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        }
    })
}

/// Errors of `socket` and `connect` that speak of this machine alone.
fn lacking(errno: nix::errno::Errno) -> bool {
    use nix::errno::Errno::*;
    // EADDRNOTAVAIL: every local port is in use.
    matches!(errno, EMFILE | ENFILE | ENOBUFS | ENOMEM | EADDRNOTAVAIL | EAFNOSUPPORT)
}

/// A longer detail is cut here: log lines stay lines whatever an endpoint sends.
const DETAIL_MAX: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;
    use nix::errno::Errno;

    fn kind_of(errno: Errno) -> Option<Kind> {
        match Trouble::from(io::Error::from_raw_os_error(errno as i32)) {
            Trouble::Endpoint { kind, .. } => Some(kind),
            Trouble::Machine(_) => None,
        }
    }

    #[test]
    fn each_way_a_connection_fails_has_its_kind() {
        assert_eq!(kind_of(Errno::ECONNREFUSED), Some(Kind::Refused));
        assert_eq!(kind_of(Errno::ECONNRESET), Some(Kind::Reset));
        assert_eq!(kind_of(Errno::EPIPE), Some(Kind::Reset));
        assert_eq!(kind_of(Errno::ETIMEDOUT), Some(Kind::Timeout));
        assert_eq!(kind_of(Errno::ENETUNREACH), Some(Kind::Unreachable));
        assert_eq!(kind_of(Errno::EHOSTUNREACH), Some(Kind::Unreachable));
        assert_eq!(kind_of(Errno::EACCES), Some(Kind::Unreachable));
        assert_eq!(kind_of(Errno::EPERM), Some(Kind::Unreachable));
        assert_eq!(kind_of(Errno::EPROTO), Some(Kind::Other));
    }

    #[test]
    fn what_this_machine_lacks_is_not_held_against_the_endpoint() {
        for errno in [Errno::EMFILE, Errno::ENFILE, Errno::ENOBUFS, Errno::EADDRNOTAVAIL] {
            assert_eq!(kind_of(errno), None, "{errno}");
        }
    }

    #[test]
    fn an_error_is_told_by_what_it_wraps() {
        let of = |error: io::Error| Trouble::of_exchange(&error, &mut Seen::default());
        let wrapped = |errno: Errno| io::Error::other(io::Error::from_raw_os_error(errno as i32));
        let refused = of(io::Error::other(wrapped(Errno::ECONNREFUSED)));
        assert!(matches!(refused, Trouble::Endpoint { kind: Kind::Refused, .. }), "{refused:?}");
        let lacking = of(wrapped(Errno::EMFILE));
        assert!(matches!(lacking, Trouble::Machine(_)), "{lacking:?}");
        let tls = of(io::Error::other(io::Error::other(rustls::Error::DecryptError)));
        assert!(matches!(tls, Trouble::Endpoint { kind: Kind::Tls, .. }), "{tls:?}");
    }

    #[test]
    fn a_long_detail_is_cut() {
        let Trouble::Endpoint { detail, .. } = Trouble::endpoint(Kind::Other, "é".repeat(10_000)) else {
            unreachable!("an endpoint's trouble")
        };
        assert_eq!(detail.chars().count(), DETAIL_MAX + 3);
    }
}
