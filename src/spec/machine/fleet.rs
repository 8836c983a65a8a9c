//! `[fleet]`: the NATS servers over which this machine and the others hear of each other.
//!
//! ```text
//!   nats        = ["tls://nats-1.example.net:4222"]   at least one
//!   credentials | nkey | user + password_file         one way to say who this is, or none
//!   ca, cert + key                                    for TLS
//! ```

use std::net::Ipv6Addr;
use std::ops::Range;

use super::{plain, value};
use crate::spec::reader::{Key, ListOf, MISSING_KEY, NAME, Problem, TEXT, Table, Truth, Written, key};

/// `[fleet]`. Paths are as written: relative to the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Fleet {
    /// `nats`: one or more servers, as `tls://nats-1.example.net:4222` or `nats://[2001:db8::1]`.
    pub nats: Vec<String>,
    /// `credentials`, `nkey`, or `user` and `password_file`.
    pub login: Login,
    /// `ca`: a file of the certificates that are trusted instead of the machine's.
    pub ca: Option<String>,
    /// `cert` and `key`: this machine's own certificate.
    pub certificate: Option<Certificate>,
    /// `follow`: serve the zones that were published through the fleet, not the files on disk; default true.
    pub follow: bool,
}

/// How a machine says to the fleet who it is.
#[derive(Clone, Debug, PartialEq)]
pub enum Login {
    /// Not at all: the NATS servers let everybody in, or know it by its TLS certificate.
    Anonymous,
    /// `credentials`: a file with a JWT and its seed, as `nsc` writes it.
    Credentials(String),
    /// `nkey`: a file with the seed of an nkey.
    Nkey(String),
    /// `user` and `password_file`.
    Password {
        /// The user's name.
        user: String,
        /// The file whose first line is the password.
        file: String,
    },
}

/// A TLS certificate and its key, two PEM files.
#[derive(Clone, Debug, PartialEq)]
pub struct Certificate {
    /// `cert`: the chain.
    pub chain: String,
    /// `key`
    pub key: String,
}

/// `None`: it names no server.
pub(super) fn fleet(table: &mut Table<'_>) -> Option<Fleet> {
    let nats =
        key("nats", "The NATS servers of the fleet: any of them will do, the next one when it is gone.");
    let nats = table.required(nats, ListOf::one_or_more(NATS)).map(plain);
    let login = login(table);
    let ca = key("ca", "Certificates (PEM) that are trusted for TLS instead of this machine's.");
    let ca = value(table.optional(ca, TEXT));
    let certificate = certificate(table);
    let follow =
        key("follow", "Whether the zones published through the fleet are served: if not, the files.");
    let follow = table.defaulted(follow, Truth, true);
    Some(Fleet { nats: nats?, login, ca, certificate, follow })
}

fn login(table: &mut Table<'_>) -> Login {
    let credentials = key("credentials", "A file with a JWT and its seed, as `nsc` writes it.");
    let nkey = key("nkey", "A file with the seed of an nkey.");
    let user = key("user", "A user's name, with `password_file`.");
    let password_file = key("password_file", "The file whose first line is the password of `user`.");
    let credentials = table.optional(credentials, TEXT);
    let nkey = table.optional(nkey, TEXT);
    let password = pair(table, (user, NAME), (password_file, TEXT));
    let ways = [
        credentials.map(|file| (file.span, Login::Credentials(file.value))),
        nkey.map(|file| (file.span, Login::Nkey(file.value))),
        password.map(|(span, user, file)| (span, Login::Password { user, file })),
    ];
    let mut ways = ways.into_iter().flatten();
    let Some((_, first)) = ways.next() else { return Login::Anonymous };
    for (span, _) in ways {
        let problem = Problem::new("two-logins", "this is a second way to say who this machine is");
        table.error(span, problem.hint("keep one of `credentials`, `nkey`, and `user` with `password_file`"));
    }
    first
}

fn certificate(table: &mut Table<'_>) -> Option<Certificate> {
    let chain = key("cert", "This machine's certificate chain (PEM), with `key`.");
    let private = key("key", "The private key (PEM) of `cert`.");
    pair(table, (chain, TEXT), (private, TEXT)).map(|(_, chain, key)| Certificate { chain, key })
}

/// Two keys that mean something only together, and where the first of them stands.
fn pair(
    table: &mut Table<'_>,
    (one, one_shape): (Key, Written<String>),
    (other, other_shape): (Key, Written<String>),
) -> Option<(Range<usize>, String, String)> {
    let names = [one.name(), other.name()];
    let (lone, lacking) = match (table.optional(one, one_shape), table.optional(other, other_shape)) {
        (Some(one), Some(other)) => return Some((one.span, one.value, other.value)),
        (Some(one), None) => (one, names[1]),
        (None, Some(other)) => (other, names[0]),
        (None, None) => return None,
    };
    let problem = Problem::new(MISSING_KEY, format!("`{lacking}` is missing"));
    table.error(lone.span, problem.hint(format!("`{}` and `{}` go together", names[0], names[1])));
    None
}

/// The address of a NATS server.
const NATS: Written<String> = Written {
    expects: "a NATS server, as \"tls://nats-1.example.net:4222\"",
    pattern: r"^(nats|tls)://[^@/\s]+$",
    parse: |text| {
        let bad =
            |hint: &str| Err(Problem::new("bad-address", format!("`{text}` is no NATS server")).hint(hint));
        let Some((scheme, place)) = text.split_once("://") else {
            return bad("write it as \"tls://nats-1.example.net:4222\", or with nats:// if it has no TLS");
        };
        if !["nats", "tls"].contains(&scheme) {
            return bad("it begins with tls://, or with nats:// if it has no TLS");
        }
        if place.contains('@') {
            // Not shown: it may be a password.
            return Err(Problem::new("bad-address", "an address says nothing of users and passwords")
                .hint("say `user` and `password_file`: files with passwords can be kept from readers"));
        }
        match is_host_and_port(place) {
            true => Ok(text.to_owned()),
            false => bad(
                "after the scheme come a host and a port, as nats-1.example.net:4222 or [2001:db8::1]:4222",
            ),
        }
    },
};

/// `host`, `host:port`, `[IPv6]` or `[IPv6]:port`.
pub(super) fn is_host_and_port(text: &str) -> bool {
    let (host_is_good, port) = match text.strip_prefix('[').map(|text| text.split_once(']')) {
        Some(Some((address, rest))) => (address.parse::<Ipv6Addr>().is_ok(), rest),
        Some(None) => return false,
        None => {
            let (host, port) = text.split_at(text.find(':').unwrap_or(text.len()));
            let fits = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
            (!host.is_empty() && host.chars().all(fits), port)
        }
    };
    let port_is_good = match port.strip_prefix(':') {
        Some(port) => port.parse::<u16>().is_ok_and(|port| port > 0),
        None => port.is_empty(),
    };
    host_is_good && port_is_good
}

#[cfg(test)]
mod tests {
    use super::super::{Machine, parse};
    use super::*;
    use crate::spec::{Diagnostic, Source};

    fn read(text: &str) -> (Option<Fleet>, Vec<&'static str>) {
        let mut diagnostics: Vec<Diagnostic> = Vec::new();
        let text = format!("[machine]\nname = \"ns1\"\n{text}");
        let machine: Machine = parse(&Source::new("config/windrose.toml", &text), &mut diagnostics);
        (machine.fleet, diagnostics.iter().map(|diagnostic| diagnostic.code).collect())
    }

    fn login_of(keys: &str) -> (Login, Vec<&'static str>) {
        let (fleet, codes) = read(&format!("[fleet]\nnats = \"nats://n.example\"\n{keys}"));
        (fleet.expect("there is a server").login, codes)
    }

    #[test]
    fn without_the_table_there_is_no_fleet() {
        assert_eq!(read(""), (None, vec![]));
    }

    #[test]
    fn a_fleet_has_at_least_one_server() {
        assert_eq!(read("[fleet]\n"), (None, vec!["missing-key"]));
        assert_eq!(read("[fleet]\nnats = []\n"), (None, vec!["empty"]));
        let (fleet, codes) = read("[fleet]\nnats = [\"tls://a.example:4222\", \"nats://[::1]\"]\n");
        let fleet = fleet.expect("there is a server");
        assert_eq!((fleet.nats.len(), fleet.login, fleet.follow), (2, Login::Anonymous, true));
        assert_eq!(codes, Vec::<&str>::new());
    }

    #[test]
    fn a_server_is_a_scheme_a_host_and_maybe_a_port() {
        for good in ["nats://a", "tls://a.example", "tls://192.0.2.1:4222", "nats://[2001:db8::1]:1"] {
            assert!((NATS.parse)(good).is_ok(), "{good}");
        }
        for bad in [
            "a",
            "http://a",
            "nats://",
            "nats://:1",
            "nats://a:",
            "nats://a:0",
            "nats://a:65536",
            "nats://a:1:2",
            "nats://::1",
            "nats://[::1",
            "nats://[::1]1",
            "nats://[a]",
            "nats://a/",
            "nats://a b",
            "nats://u:p@a",
        ] {
            assert!((NATS.parse)(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn there_is_one_way_to_say_who_this_machine_is() {
        let password = Login::Password { user: "ns1".into(), file: "pw".into() };
        assert_eq!(login_of("credentials = \"c\""), (Login::Credentials("c".into()), vec![]));
        assert_eq!(login_of("nkey = \"n\""), (Login::Nkey("n".into()), vec![]));
        assert_eq!(login_of("user = \"ns1\"\npassword_file = \"pw\""), (password, vec![]));
        assert_eq!(login_of("user = \"ns1\""), (Login::Anonymous, vec!["missing-key"]));
        assert_eq!(login_of("password_file = \"pw\""), (Login::Anonymous, vec!["missing-key"]));
        assert_eq!(login_of("credentials = \"c\"\nnkey = \"n\"").1, ["two-logins"]);
    }

    #[test]
    fn a_password_in_an_address_is_not_repeated() {
        let refused = (NATS.parse)("nats://me:secret@a.example").expect_err("it has a password");
        assert!(!format!("{refused:?}").contains("secret"));
    }
}
